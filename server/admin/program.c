/* The table of commands. */
#include "server/admin/admin.h"
#include "server/admin/commands.h"

#define ANY 1024

static const struct command commands[] = {
    {"init", "[--listen 地址:端口] [--enrol-listen 地址:端口] [--term 届次] [--hash sm3|sha256]",
     "建立市级数据和密钥", OPT_BIT(LISTEN) | OPT_BIT(ENROL_LISTEN) | OPT_BIT(TERM) | OPT_BIT(HASH),
     0, 0, cmd_init},
    {"run", "", "运行市级服务，直到收到停止信号", 0, 0, 0, cmd_run},
    {"status", "", "市级服务是否在运行，各县市区计算机的情况", 0, 0, 0, cmd_status},
    {"stop", "", "停止市级服务", 0, 0, 0, cmd_stop},
    {"enrol", "--site 代码 [--ttl 24h]", "发一个接入码，用一次", OPT_BIT(SITE) | OPT_BIT(TTL), 0, 0,
     cmd_deed},
    {"replica list", "", "已接入的计算机", 0, 0, 0, cmd_replica_list},
    {"replica revoke", "标识 [--retired|--lost]", "撤销一台计算机的接入资格，立即生效",
     OPT_BIT(RETIRED) | OPT_BIT(LOST), 1, 1, cmd_deed},
    {"user add", "登录名 [--name 姓名] [--role 角色,…] [字段=值]…", "登记市级账户",
     OPT_BIT(NAME) | OPT_BIT(ROLE) | OPT_BIT(QUIET), 1, ANY, cmd_deed},
    {"user list", "", "市级账户", OPT_BIT(WHERE) | OPT_BIT(LIMIT), 0, 0, cmd_user_list},
    {"setting list", "[--site 代码]", "系统设置：现行取值和出处", OPT_BIT(SITE), 0, 0,
     cmd_setting_list},
    {"setting set", "设置项=值 [--site 代码] [--note 说明] [--as 登录名]",
     "更改一项系统设置，全市的或一个县市区的",
     OPT_BIT(SITE) | OPT_BIT(NOTE) | OPT_BIT(AS) | OPT_BIT(QUIET), 1, 1, cmd_deed},
    {"ls", "类别 [--where 字段=值]… [--limit 条数]", "列出记录", OPT_BIT(WHERE) | OPT_BIT(LIMIT), 1,
     1, cmd_ls},
    {"show", "编号或标识", "一条记录的内容", 0, 1, 1, cmd_show},
    {"log", "编号或标识 | --stream 流 [--raw]", "一条记录或一个数据流的经过",
     OPT_BIT(STREAM) | OPT_BIT(RAW), 0, 1, cmd_log},
    {"do", "办理 编号或标识 [字段=值]… [--as 登录名]", "办理一条记录", OPT_BIT(AS) | OPT_BIT(QUIET),
     2, ANY, cmd_deed},
    {"add", "类别 字段=值… [--as 登录名]", "登记一条记录", OPT_BIT(AS) | OPT_BIT(QUIET), 1, ANY,
     cmd_deed},
    {"set", "编号或标识 字段=值… [--as 登录名]", "修改一条记录", OPT_BIT(AS) | OPT_BIT(QUIET), 2,
     ANY, cmd_deed},
    {"import",
     "类别 文件 [--map 列名=字段]… [--set 字段=值]… [--historic] [--dry-run] [--as 登录名]",
     "从表格导入，全部成功才写入",
     OPT_BIT(AS) | OPT_BIT(MAP) | OPT_BIT(SET) | OPT_BIT(HISTORIC) | OPT_BIT(DRY_RUN), 2, 2,
     cmd_deed},
    {"ca rotate", "", "换新的根证书，新旧并用，直到 ca drop-old", 0, 0, 0, cmd_deed},
    {"ca drop-old", "[--force]", "停用旧的根证书；还有计算机没有换上新证书时不办", OPT_BIT(FORCE), 0,
     0, cmd_deed},
    {"verify", "", "校验全部数据流", 0, 0, 0, cmd_verify},
    {"rebuild", "", "由日志重建全部表", 0, 0, 0, cmd_deed},
    {0},
};

const struct program ztcd_program = {
    .name = "ztcd",
    .title = "ztcd：直通车市级服务和管理命令",
    .notes = "数据目录：--dir，否则环境变量 ZTCD_DIR，否则 ~/.local/share/ztcd。",
    .commands = commands,
};
