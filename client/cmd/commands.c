/* Every command of ztc, one row each. */
#include "client/cmd/commands.h"

#define MANY 1000u

static const struct command commands[] = {
    {"enrol", "接入码|-", "用市级给的接入码接入本机；“-”从标准输入读", 0, 1, 1, cmd_enrol},
    {"run", "", "保持与市级同步，直到收到停止信号", 0, 0, 0, cmd_run},
    {"sync", "[--timeout 秒]", "同步一次，直到已全部上传", OPT_BIT(TIMEOUT), 0, 0, cmd_sync},
    {"status", "", "本机的同步情况：是否已全部上传", 0, 0, 0, cmd_status},
    {"ls", "台账 [--where 字段=值]… [--limit 条数]", "列出一种台账的记录",
     OPT_BIT(WHERE) | OPT_BIT(LIMIT), 1, 1, cmd_ls},
    {"show", "记录", "显示一条记录", 0, 1, 1, cmd_show},
    {"log", "记录 | --stream 流 [--raw]", "一条记录或一个流的经过", OPT_BIT(STREAM) | OPT_BIT(RAW),
     0, 1, cmd_log},
    {"add", "台账 字段=值… [--as 登录名]", "登记一条记录；“字段=@文件”从文件读值",
     OPT_BIT(AS) | OPT_BIT(QUIET), 1, MANY, cmd_add},
    {"set", "记录 字段=值… [--as 登录名]", "修改一条记录", OPT_BIT(AS) | OPT_BIT(QUIET), 2, MANY,
     cmd_set},
    {"do", "动作 记录 [字段=值…] [--as 登录名]",
     "办理：动作是目标状态或办理名称，如 核实、作废、恢复", OPT_BIT(AS) | OPT_BIT(QUIET), 2, MANY,
     cmd_do},
    {"import",
     "台账 文件 [--map 列名=字段]… [--set 字段=值]… [--historic] [--dry-run] [--as 登录名]",
     "从 .xlsx 或 .csv 导入，全部写入或全不写入",
     OPT_BIT(MAP) | OPT_BIT(SET) | OPT_BIT(HISTORIC) | OPT_BIT(DRY_RUN) | OPT_BIT(AS), 2, 2,
     cmd_import},
    {"export", "台账 文件 [--where 字段=值]… [--report]", "导出为 .xlsx 或 .csv，改后可再导入",
     OPT_BIT(WHERE) | OPT_BIT(REPORT), 2, 2, cmd_export},
    {"attach", "记录 文件… [--as 登录名]", "给一条记录加附件，同步时上传",
     OPT_BIT(AS) | OPT_BIT(QUIET), 2, 101, cmd_attach},
    {"fetch", "附件 [--out 文件] [--timeout 秒]", "取一个附件，存为文件",
     OPT_BIT(OUT) | OPT_BIT(TIMEOUT), 1, 1, cmd_fetch},
    {"conflicts", "", "列出未处理的冲突", 0, 0, 0, cmd_conflicts},
    {"resolve", "冲突 --take stands|later|value=值 [--as 登录名]", "处理一个冲突",
     OPT_BIT(TAKE) | OPT_BIT(AS) | OPT_BIT(QUIET), 1, 1, cmd_resolve},
    {"refused", "[--all] | --done 项号[-项号] [--as 登录名]", "列出或了结市级未接受的更改",
     OPT_BIT(ALL) | OPT_BIT(DONE) | OPT_BIT(AS), 0, 0, cmd_refused},
    {"user add", "登录名 [--name 姓名] --role 角色[,角色] [字段=值…] [--as 登录名]", "增加账户",
     OPT_BIT(AS) | OPT_BIT(QUIET) | OPT_BIT(NAME) | OPT_BIT(ROLE), 1, MANY, cmd_user_add},
    {"user list", "", "列出账户", OPT_BIT(WHERE) | OPT_BIT(LIMIT), 0, 0, cmd_user_list},
    {"receipt", "记录 [--out 文件] | --check 文件", "一条记录已由市级收存的凭证，或核对凭证文件",
     OPT_BIT(OUT) | OPT_BIT(CHECK), 0, 1, cmd_receipt},
    {"settings", "", "本单位现行的系统设置，由市级设定", 0, 0, 0, cmd_settings},
    {"bundle export", "文件", "没有网络时：把待传的更改写成摆渡包，带到市级", 0, 1, 1,
     cmd_bundle_export},
    {"bundle import", "文件", "导入市级的摆渡包，可重复", 0, 1, 1, cmd_bundle_import},
    {"verify", "", "校验本机的全部记录", 0, 0, 0, cmd_verify},
    {"rebuild", "", "由记录重建各表", 0, 0, 0, cmd_rebuild},
    {NULL, NULL, NULL, 0, 0, 0, NULL},
};

const struct program ztc_program = {
    .name = "ztc",
    .title = "直通车：县级委员工作室台账",
    .notes =
        "记录可用编号、记录标识或其开头（至少 6 位）指明；台账和字段用代码或中文名都可以。\n"
        "数据目录：--dir，或环境变量 ZTC_DIR，或 ~/.local/share/ztc。\n"
        "非涉密系统，严禁录入涉密信息。",
    .commands = commands,
};
