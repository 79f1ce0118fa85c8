/* Error codes and the message that travels with them.
 *
 * A function that can fail returns 0 or one negative E_* code. Library codes (libuv, SQLite, OpenSSL,
 * protobuf-c, errno) are translated once, in the wrapper that made the call. The stable code "ZT-…"
 * is for operators and scripts; the sentence in Chinese is for people. */
#ifndef ZTC_BASE_ERR_H
#define ZTC_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* X(name, number, stable code, sentence for people) */
#define ERR_MAP(X)                                                                                 \
    X(E_NOMEM, 1, "ZT-NOMEM", "内存不足")                                                          \
    X(E_IO, 2, "ZT-IO", "读写失败")                                                                \
    X(E_FULL, 3, "ZT-DISK-FULL", "磁盘空间不足，未写入任何内容")                                   \
    X(E_NOTFOUND, 4, "ZT-NOT-FOUND", "没有找到")                                                   \
    X(E_EXISTS, 5, "ZT-EXISTS", "已经存在")                                                        \
    X(E_INVALID, 6, "ZT-INVALID", "内容不符合要求")                                                \
    X(E_MALFORMED, 7, "ZT-MALFORMED", "数据格式错误")                                              \
    X(E_TOOBIG, 8, "ZT-TOO-BIG", "超过允许的大小")                                                 \
    X(E_AUTH, 9, "ZT-AUTH", "身份验证失败")                                                        \
    X(E_DENIED, 10, "ZT-DENIED", "没有权限")                                                       \
    X(E_STATE, 11, "ZT-STATE", "当前状态不允许此操作")                                             \
    X(E_GUARD, 12, "ZT-GUARD", "不满足办理条件")                                                   \
    X(E_GUARD_LATER, 13, "ZT-GUARD-LATER", "此项规则将在后续版本提供")                             \
    X(E_USAGE, 14, "ZT-USAGE", "命令用法不对")                                                     \
    X(E_UNREACHABLE, 15, "ZT-UNREACHABLE", "连接不上市级服务")                                     \
    X(E_TIMEOUT, 16, "ZT-TIMEOUT", "等待超时")                                                     \
    X(E_CORRUPT, 17, "ZT-CORRUPT", "数据校验失败")                                                 \
    X(E_CONFLICT, 18, "ZT-CONFLICT", "内容已被他人修改，请复核")                                   \
    X(E_OWNER, 19, "ZT-OWNER", "该字段不归本方填写")                                               \
    X(E_ROLE, 20, "ZT-ROLE", "该账户没有所需角色")                                                 \
    X(E_PARENT, 21, "ZT-PARENT", "所属记录未被接受")                                               \
    X(E_AFTER, 22, "ZT-AFTER", "此前对该记录的更改未被接受")                                       \
    X(E_VERSION, 23, "ZT-VERSION", "版本不兼容")                                                   \
    X(E_BUSY, 24, "ZT-BUSY", "正忙，请稍后再试")                                                   \
    X(E_CLOSED, 25, "ZT-CLOSED", "连接已关闭")                                                     \
    X(E_PROTOCOL, 26, "ZT-PROTOCOL", "对方没有遵守同步协议")                                       \
    X(E_TLS, 27, "ZT-TLS", "加密连接失败")                                                         \
    X(E_REVOKED, 28, "ZT-REVOKED", "本机的接入资格已被撤销")                                       \
    X(E_EXPIRED, 29, "ZT-EXPIRED", "已过有效期")                                                   \
    X(E_TOKEN, 30, "ZT-TOKEN", "接入码无效、已使用或已过期")                                       \
    X(E_FORK, 31, "ZT-FORK", "本机数据与市级记录分叉")                                             \
    X(E_WAITING, 32, "ZT-WAITING", "尚有内容未上传或未被接受")                                     \
    X(E_READONLY, 33, "ZT-READ-ONLY", "存储不可写")                                                \
    X(E_INTERNAL, 34, "ZT-INTERNAL", "程序内部错误")                                               \
    X(E_QUARANTINE, 35, "ZT-QUARANTINE", "已暂存待市级核准")                                       \
    X(E_BLOB_WAIT, 36, "ZT-BLOB-WAIT", "附件尚未上传完")                                           \
    X(E_BLOB_LOST, 37, "ZT-BLOB-LOST", "附件的内容已丢失")                                         \
    X(E_QUOTA, 38, "ZT-QUOTA", "附件总量超过上限")                                                 \
    X(E_DIGEST, 39, "ZT-DIGEST", "本机台账与市级不一致，正在核对修复")                             \
    X(E_RECOVERING, 41, "ZT-RECOVERING",                                                           \
      "市级数据正在恢复，暂不接收更改；本机内容都在，恢复结束后自动上传")                             \
    X(E_BUNDLE_GAP, 42, "ZT-BUNDLE-GAP", "缺少前一份摆渡包")                                       \
    X(E_TWIN, 43, "ZT-TWIN",                                                                       \
      "另一台电脑正以本机的身份联机（目录或磁盘被复制过）；任一台写下新内容后，另一台自动换用新身份")

enum {
#define X(name, number, code, text) name = -(number),
    ERR_MAP(X)
#undef X
};

#define ERR_TEXT_MAX 512

/* What failed, in the words of the place that noticed. Owned by the caller; needs no release. */
struct err {
    int ret;                 /* the E_* code, 0 while nothing failed */
    char text[ERR_TEXT_MAX]; /* Chinese sentence without the code, UTF-8, cut at a character */
};

/* The stable code of an E_* number, "ZT-UNKNOWN" for any other. */
const char *err_code(int ret);

/* The general sentence of an E_* number. */
const char *err_text(int ret);

/* The machine failed, not the content: nothing was decided, a later try may succeed. */
bool err_is_fault(int ret);

/* The E_* number of a stable code, E_INTERNAL when there is none. */
int err_from_code(const char *code);

/* Record RET and a sentence; returns RET so that a caller writes `return err_set(err, E_IO, …)`.
 * ERR may be NULL. A NULL format takes the general sentence. */
int err_set(struct err *err, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Put "prefix: " before the recorded sentence (recording the general one first where none is
 * recorded). Returns RET. */
int err_wrap(struct err *err, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
