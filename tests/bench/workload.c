#include "tests/bench/workload.h"

#include <stdio.h>
#include <string.h>

#define CONTENT_CHARACTERS 200u
#define TITLE_CHARACTERS   14u

const uint32_t bench_sites[BENCH_SITES] = {431002, 431003, 431021, 431022, 431023, 431024,
                                           431025, 431026, 431027, 431028, 431081};

static const char *const letters[BENCH_SITES] = {"BH", "SX", "GY", "YZ", "YX", "JH",
                                                 "LW", "RC", "GD", "AR", "ZX"};

static const char *const phrases[] = {
    "群众反映", "建议有关部门", "希望尽快解决", "存在安全隐患", "多次反映未果", "请予以重视",
    "老年人出行不便", "路灯损坏", "道路破损", "垃圾清运不及时", "饮用水水质", "停车位不足",
    "小区物业", "农村信用社贷款", "医保报销", "学位紧张", "公交线路", "河道治理", "噪音扰民",
    "拖欠工资", "高标准农田", "烤烟收购价格", "危房改造", "养老服务中心", "返乡创业",
};

static const char *const places[] = {
    "北湖区人民路", "苏仙区白鹿洞街道", "桂阳县鹿峰街道", "宜章县玉溪镇", "永兴县便江街道",
    "嘉禾县珠泉镇", "临武县舜峰镇", "汝城县卢阳镇", "桂东县沤江镇", "安仁县永乐江镇",
    "资兴市东江街道", "流峰镇", "塘溪村", "黄草镇", "欧阳海镇",
};

static const char characters[] =
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过"
    "子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体"
    "制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内"
    "数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提";

static const char *const channels[] = {"visit", "phone", "wechat", "duty"};
static const char *const categories[] = {"social", "economic", "ecological", "cultural"};

/* Small numbers often, large ones seldom: the product of two even rolls. */
static uint64_t skewed(struct workload *w, uint64_t bound)
{
    return random_below(&w->random, bound) * random_below(&w->random, bound) / bound;
}

/* Append TEXT as far as LEFT characters reach; all of it is of three-byte characters. */
static void add(char *text, size_t *len, unsigned *left, const char *piece)
{
    size_t n = strlen(piece) / 3;

    n = n < *left ? n : *left;
    memcpy(text + *len, piece, n * 3);
    *len += n * 3;
    *left -= (unsigned)n;
}

static void write_text(struct workload *w, char *text, unsigned length)
{
    unsigned left = length;
    size_t len = 0;

    while (left > 0) {
        uint64_t roll = random_below(&w->random, 10);
        char one[4] = "";

        if (roll < 2) {
            add(text, &len, &left, phrases[skewed(w, sizeof phrases / sizeof *phrases)]);
        } else if (roll < 3) {
            add(text, &len, &left, places[skewed(w, sizeof places / sizeof *places)]);
        } else if (roll < 4) {
            text[len++] = (char)('0' + random_below(&w->random, 10));
            left--;
        } else {
            memcpy(one, characters + 3 * skewed(w, (sizeof characters - 1) / 3), 3);
            add(text, &len, &left, one);
        }
    }
    text[len] = '\0';
}

void workload_init(struct workload *w, uint64_t seed, unsigned n_sites)
{
    *w = (struct workload){.now = 1767225600000u, .n_sites = n_sites};
    w->random = random_seeded_init(&w->seeded, seed);
}

void workload_next(struct workload *w, struct opinion *ret)
{
    struct cal_date d = cal_date(cal_day_of(w->now));

    ret->site = (unsigned)(w->made % w->n_sites);
    ret->no = w->made / w->n_sites + 1;
    w->made++;
    w->now += random_below(&w->random, 400);
    ret->id = id_v7(w->now, &w->random);
    (void)snprintf(ret->serial, sizeof ret->serial, "%s-MY-%d-1%06u", letters[ret->site], d.year,
                   (unsigned)ret->no);
    (void)snprintf(ret->received_at, sizeof ret->received_at, "%04d-%02d-%02dT%02u:%02u:00+08:00",
                   d.year, d.month, d.day, (unsigned)random_below(&w->random, 24),
                   (unsigned)random_below(&w->random, 60));
    ret->channel = channels[skewed(w, 4)];
    ret->category = categories[skewed(w, 4)];
    write_text(w, ret->title, TITLE_CHARACTERS);
    write_text(w, ret->content, CONTENT_CHARACTERS);
    (void)snprintf(ret->area, sizeof ret->area, "%s",
                   places[skewed(w, sizeof places / sizeof *places)]);
    ret->persons = (int64_t)skewed(w, 200) + 1;
}
