/* Cards in `shared`, which every county reads: proposals that may be public, the city's own members and
 * studios. A card bears what its source's kind allows and nothing else. */
#include "server/core/rules_internal.h"

#include <string.h>

/* ---- proposals ---- */

static bool is_public(const struct row *of, const struct row *submission)
{
    const struct value *ok = row_named(of, "public_ok");

    if (row_state_in(of, "registered|reviewing|supplement|not_filed|converted|withdrawn") ||
        row_text(of, "case_no").len == 0 || (!value_is_null(ok) && ok->i == 0))
        return false;
    return submission == NULL ? !value_is_null(ok) : row_int(submission, "allow_public") == 1;
}

int publish_proposal_card(struct judge *j, struct row *of)
{
    struct row *submission, *card = NULL;
    int ret = lookup_ref(judge_lookup(j), of, "submission_id", &submission);

    if (ret == 0 && row_text(of, "case_no").len > 0)
        ret = find_one(j, "proposal_card", "case_no", row_named(of, "case_no"), &card);
    if (ret != 0)
        return ret;
    if (!is_public(of, submission))
        return card == NULL ? 0 : judge_void(j, card, "提案已撤回或不再公开");
    struct with with[] = {
        {"case_no", *row_named(of, "case_no")},
        {"title", *row_named(of, "title")},
        {"category", *row_named(of, "category")},
        {"keywords", submission == NULL ? value_null() : *row_named(submission, "keywords")},
        {"filed_on", *row_named(of, "filed_on")},
        {.name = NULL},
    };

    return card != NULL ? judge_set(j, card, with)
                        : judge_create(j, "proposal_card", SITE_CITY, NULL, with, NULL);
}

/* ---- members ---- */

static const char *const member_fields[] = {"name",      "pinyin", "level", "unit_title",
                                            "expertise", "status", NULL};

/* The card of a member as he was: a card has no link, its content is all that the member shows, so that
 * either of two equal ones will do. */
static int member_card_of(struct judge *j, const struct row *member, struct row **ret)
{
    struct row **rows;
    size_t n = 0;
    int status = lookup_find(judge_lookup(j), judge_arena(j), "member_card", "name",
                             row_named(member, "name"), &rows, &n);

    *ret = NULL;
    for (size_t i = 0; status == 0 && i < n && *ret == NULL; i++) {
        bool same = true;

        for (size_t f = 0; same && member_fields[f] != NULL; f++)
            same =
                value_eq(row_named(rows[i], member_fields[f]), row_named(member, member_fields[f]));
        if (same)
            *ret = rows[i];
    }
    return status;
}

static bool member_shown(const struct row *member)
{
    const struct value *level = row_named(member, "level");

    return !row_voided(member) &&
           (value_set_has(level, slice_str("city")) || value_set_has(level, slice_str("province")));
}

static int show_member(const struct deed *d)
{
    struct with with[sizeof member_fields / sizeof *member_fields];
    struct row *card = NULL;
    int ret = 0;

    if (d->before != NULL && member_shown(d->before))
        ret = member_card_of(d->j, d->before, &card);
    if (ret != 0)
        return ret;
    if (!member_shown(d->row))
        return card == NULL ? 0 : judge_void(d->j, card, "不再是市级以上委员");
    for (size_t i = 0; i < sizeof member_fields / sizeof *member_fields; i++)
        with[i] = (struct with){member_fields[i], member_fields[i] == NULL
                                                      ? value_null()
                                                      : *row_named(d->row, member_fields[i])};
    return card != NULL ? judge_set(d->j, card, with)
                        : judge_create(d->j, "member_card", SITE_CITY, NULL, with, NULL);
}

/* 党员委员 follows from the party. */
static int note_party_member(const struct deed *d)
{
    bool cpc = row_says(d->row, "party", "cpc");
    struct with with[] = {{"is_party_member_lead", value_int(cpc)}, {.name = NULL}};

    if ((row_int(d->row, "is_party_member_lead") != 0) == cpc)
        return 0;
    return judge_set(d->j, d->row, with);
}

int member_changed(const struct deed *d)
{
    int ret = row_voided(d->row) ? 0 : note_party_member(d);

    return ret != 0 || d->row->stream != SITE_CITY ? ret : show_member(d);
}

/* ---- studios ---- */

int studio_changed(const struct deed *d)
{
    const struct value *no = row_get(d->row, TAG_SERIAL);
    bool shown = !row_voided(d->row) && row_state_in(d->row, "operating|rectifying");
    struct row *card;
    int ret;

    if (d->row->stream != SITE_CITY || value_is_null(no))
        return 0;
    ret = find_one(d->j, "studio_card", "studio_no", no, &card);
    if (ret != 0)
        return ret;
    if (!shown)
        return card == NULL ? 0 : judge_void(d->j, card, "工作室不再运行");
    struct with with[] = {
        {"studio_no", *no},
        {"name", *row_named(d->row, "name")},
        {"address", *row_named(d->row, "address")},
        {"feature", *row_named(d->row, "feature")},
        {"open_hours", *row_named(d->row, "open_hours")},
        {"public_phone", *row_named(d->row, "public_phone")},
        {.name = NULL},
    };

    return card != NULL ? judge_set(d->j, card, with)
                        : judge_create(d->j, "studio_card", SITE_CITY, NULL, with, NULL);
}
