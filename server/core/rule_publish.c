/* What a case's step becomes for its submissions: card, mirrored state, tracking row, answers. All of it
 * lies in the submission's own stream and names no other county's people. */
#include "common/base/text.h"
#include "common/catalogue/mirror.h"
#include "server/core/rules_internal.h"

#include <stdio.h>
#include <string.h>

#define UNIT_MAX 60u  /* case_card.lead_unit */
#define CO_MAX   200u /* case_card.co_units */
#define TOLD_MAX                                                                                   \
    15000u /* code points of a reason: tracking.content holds it and what is around it */

/* ---- words ---- */

struct words {
    struct judge *j;
    const struct row *submission;
    const struct row *of;     /* may be NULL */
    const struct row *leader; /* the case that is handled: OF's main, or OF */
    const struct step *step;
};

static const char *chinese_date(struct judge *j, struct slice date)
{
    day_t day;
    struct cal_date d;

    if (date.len < CAL_DATE_SIZE - 1)
        return "待定";
    date.len = CAL_DATE_SIZE - 1;
    if (cal_parse_date(date, &day) != 0)
        return "待定";
    d = cal_date(day);
    return judge_text(j, "%d年%d月%d日", d.year, d.month, d.day);
}

/* The value of one {word}; NULL when memory is out. */
static int word(const struct words *w, const char *name, size_t len, struct slice *ret)
{
    struct value units = value_null();
    const char *text = "";
    int status = 0;

    *ret = slice_str("");
    if (strncmp(name, "title", len) == 0)
        *ret = row_text(w->submission, "title");
    else if (strncmp(name, "receipt", len) == 0)
        *ret = row_text(w->submission, "receipt_no");
    else if (strncmp(name, "no", len) == 0 && w->of != NULL)
        *ret = case_number(w->of);
    else if (strncmp(name, "main", len) == 0 && w->leader != NULL)
        *ret = case_number(w->leader);
    else if (strncmp(name, "unit", len) == 0 && w->step->unit != NULL)
        *ret = slice_str(w->step->unit);
    else if (strncmp(name, "due", len) == 0 && w->leader != NULL) {
        bool own = !value_is_null(&w->step->due);

        text = chinese_date(w->j, own ? w->step->due.s : row_text(w->leader, "due_on"));
        *ret = slice_str(text == NULL ? "" : text);
    } else if (strncmp(name, "units", len) == 0 && w->leader != NULL) {
        status = case_units(w->j, w->leader, true, UNIT_MAX, &units);
        *ret = value_is_null(&units) ? slice_str("承办单位") : units.s;
    }
    return status != 0 ? status : text == NULL ? E_NOMEM : 0;
}

static int expand(const struct words *w, const char *text, const char **ret)
{
    const char *out = "";

    while (out != NULL && *text != '\0') {
        size_t plain = strcspn(text, "{");
        size_t len;
        struct slice value;
        int status;

        out = judge_text(w->j, "%s%.*s", out, (int)plain, text);
        text += plain;
        if (*text == '\0' || out == NULL)
            break;
        len = strcspn(text, "}") - 1;
        status = word(w, text + 1, len, &value);
        if (status != 0)
            return status;
        out = judge_text(w->j, "%s%.*s", out, (int)value.len, (const char *)value.p);
        text += len + 2;
    }
    *ret = out;
    return out == NULL ? E_NOMEM : 0;
}

/* ---- tracking ---- */

static const char *with_reason(struct judge *j, const char *content, struct slice reason)
{
    size_t at = 0, n = 0;

    while (n < TOLD_MAX && text_next(reason, &at) != 0)
        n++;
    return judge_text(j, "%s说明：%.*s%s", content, (int)at, (const char *)reason.p,
                      at < reason.len ? "……" : "");
}

static int write_tracking(const struct words *w, bool own)
{
    const struct step *step = w->step;
    const char *content;
    struct value due = step->due;
    int ret = expand(w, step->text, &content);

    if (ret == 0 && step->clock != CLOCK_GIVEN)
        ret = clock_due(w->j, step->clock, w->leader, &due);
    if (ret != 0)
        return ret;
    if (own && step->reason != NULL)
        content = with_reason(w->j, content, slice_str(step->reason));
    if (content == NULL)
        return E_NOMEM;
    struct with with[] = {
        {"submission_id", value_id(&w->submission->id)},
        {"node", value_str(step->node)},
        {"happened_at", clock_now(w->j)},
        {"by_unit", value_str(step->by)},
        {"content", value_str(content)},
        {"next_step", value_str(step->next)},
        {"next_due", due},
        {.name = NULL},
    };

    return judge_create(w->j, "tracking", w->submission->stream, NULL, with, NULL);
}

int publish_tracking(struct judge *j, const struct row *submission, const struct row *of,
                     const struct step *step)
{
    struct words w = {.j = j, .submission = submission, .of = of, .leader = of, .step = step};

    return write_tracking(&w, true);
}

/* ---- the card ---- */

/* The submission the case was made for: what is told of the case may name its people. */
static bool is_first(const struct attached *to)
{
    struct id id;

    return row_id(to->own, "submission_id", &id) && id_eq(&id, &to->submission->id);
}

/* The state a submission is shown: a merged case shows 并案 until its main is under way. */
static struct slice shown_state(const struct row *own, const struct row *leader)
{
    if (leader == own || row_in_state(own, "withdrawn"))
        return row_state(own);
    return row_state_in(leader, "registered|screening|reviewing|filed") ? slice_str("merged")
                                                                        : row_state(leader);
}

static int64_t round_of(const struct row *of)
{
    struct value round = row_value(of, "round");

    return round.type == V_INT && round.i > 0 ? round.i : 1;
}

static int write_card(struct judge *j, const struct attached *to, const struct row *leader,
                      struct row **ret_card)
{
    const struct row *own = to->own;
    bool first = is_first(to);
    struct slice no = case_number(own), main_no = case_number(leader);
    struct value self = value_id(&to->submission->id);
    struct value units, co;
    int ret = find_one(j, "case_card", "submission_id", &self, ret_card);

    if (ret == 0)
        ret = case_units(j, leader, true, UNIT_MAX, &units);
    if (ret == 0)
        ret = case_units(j, leader, false, CO_MAX, &co);
    if (ret != 0)
        return ret;
    struct with with[] = {
        {"case_kind", value_str(own->kind->name)},
        {"case_no", no.len == 0 ? value_null() : value_text(no)},
        {"main_case_no", leader == own || main_no.len == 0 ? value_null() : value_text(main_no)},
        {"title", first ? *row_named(own, "title") : *row_named(to->submission, "title")},
        {"case_state", value_text(shown_state(own, leader))},
        {"not_filed_reason", row_value(own, "not_filed_reason")},
        {"not_filed_note", first ? row_value(own, "not_filed_note") : value_null()},
        {"handle_kind", row_value(leader, "handle_kind")},
        {"lead_unit", units},
        {"co_units", co},
        {"filed_on", row_value(own, "filed_on")},
        {"assigned_on", row_value(leader, "assigned_on")},
        {"due_on", row_value(leader, "due_on")},
        {"round", value_int(round_of(leader))},
        {"is_key", row_value(leader, "is_key")},
        {"submission_id", self},
        {.name = NULL},
    };

    if (*ret_card != NULL)
        return judge_set(j, *ret_card, with);
    return judge_create(j, "case_card", to->submission->stream, NULL, with, ret_card);
}

/* ---- the submission follows ---- */

static const struct {
    const char *from, *to;
} followings[] = {
    {"routed_proposal", "in_process"},    {"routed_proposal", "answered"},
    {"routed_proposal", "returned"},      {"routed_proposal", "withdrawn"},
    {"routed_proposal", "routed_office"}, {"routed_office", "in_process"},
    {"routed_office", "answered"},        {"routed_office", "withdrawn"},
    {"in_process", "answered"},           {"in_process", "withdrawn"},
    {"in_process", "routed_proposal"},    {"answered", "in_process"},
    {"returned", "routed_proposal"},      {"returned", "withdrawn"},
};

static bool may_follow(const struct row *submission, const char *to)
{
    for (size_t i = 0; to != NULL && i < sizeof followings / sizeof *followings; i++) {
        if (row_in_state(submission, followings[i].from) && strcmp(to, followings[i].to) == 0)
            return true;
    }
    return false;
}

/* An answer passes through 办理中, unless the case was never taken up. */
static bool skips_process(struct slice shown)
{
    return slice_eq(shown, slice_str("not_filed")) || slice_eq(shown, slice_str("not_adopted"));
}

static int follow(struct judge *j, struct row *submission, const struct row *own,
                  const struct row *leader, const struct row *card)
{
    struct slice shown = shown_state(own, leader);
    const char *to = mirror_state(own->kind->name, shown);
    bool back = to != NULL && strcmp(to, "returned") == 0;
    bool converts = !case_is_proposal(own) && row_in_state(submission, "routed_proposal");
    struct value due = row_value(leader, "due_on");
    struct with with[] = {
        {"case_kind", value_str(own->kind->name)},
        {"case_id", value_id(&card->id)},
        {"case_state", value_text(shown)},
        {"due_on", value_is_null(&due) ? *row_named(submission, "due_on") : due},
        {"paused_on", back ? clock_date(j, judge_facts(j)->today) : value_null()},
        {"return_reason",
         back ? row_value(own, "review_opinion") : *row_named(submission, "return_reason")},
        {"route_target", converts ? value_str("office") : *row_named(submission, "route_target")},
        {"route_note", converts ? value_str("经提案者同意，由提案转为社情民意信息")
                                : *row_named(submission, "route_note")},
        {.name = NULL},
    };

    if (row_in_state(submission, "returned") && !case_is_proposal(own))
        with[4].v = *row_named(submission, "paused_on");
    if (!may_follow(submission, to))
        return judge_set(j, submission, with);
    if (strcmp(to, "answered") == 0 && !row_in_state(submission, "in_process") &&
        !skips_process(shown)) {
        int ret = judge_move(j, submission, "in_process", NULL);

        if (ret != 0)
            return ret;
    }
    return judge_move(j, submission, to, with);
}

/* ---- cases ---- */

int publish_to(struct judge *j, const struct attached *to, const struct step *step)
{
    struct row *leader, *card;
    int ret = case_main(j, to->own, &leader);

    if (ret != 0)
        return ret;
    if (leader == NULL)
        leader = to->own;
    ret = write_card(j, to, leader, &card);
    if (ret == 0)
        ret = follow(j, to->submission, to->own, leader, card);
    if (ret != 0 || step == NULL)
        return ret;
    struct words w = {
        .j = j, .submission = to->submission, .of = to->own, .leader = leader, .step = step};

    return write_tracking(&w, is_first(to));
}

int publish_case(struct judge *j, struct row *of, const struct step *step)
{
    struct attached *to;
    size_t n;
    int ret = case_attached(j, of, &to, &n);

    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = publish_to(j, &to[i], step);
    return ret;
}

/* ---- answers ---- */

/* Attachments are rows of their own in the stream of what they hang on. */
static int copy_attachment(struct judge *j, const struct id *id, const struct row *answer,
                           struct row **ret)
{
    struct row *file;
    int status = lookup_get(judge_lookup(j), "attachment", id, &file);

    *ret = NULL;
    if (status != 0 || file == NULL || row_voided(file))
        return status;
    struct with with[] = {
        {"target_kind", value_str("answer")},         {"target_id", value_id(&answer->id)},
        {"file_name", *row_named(file, "file_name")}, {"mime", *row_named(file, "mime")},
        {"size", *row_named(file, "size")},           {"hash", *row_named(file, "hash")},
        {"caption", *row_named(file, "caption")},     {.name = NULL},
    };

    return judge_create(j, "attachment", answer->stream, NULL, with, ret);
}

static int copy_attachments(struct judge *j, const struct row *reply, struct row *answer)
{
    const struct value *files = row_named(reply, "attachment");
    size_t n = files->type == V_IDS ? files->s.len / ID_SIZE : 0;
    struct value none = value_null(), ids = value_null();
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < n; i++) {
        struct row *copy;
        struct id id;

        memcpy(id.b, files->s.p + i * ID_SIZE, ID_SIZE);
        ret = copy_attachment(j, &id, answer, &copy);
        if (ret == 0 && copy != NULL) {
            struct value one = {.type = V_IDS, .s = {copy->id.b, ID_SIZE}};

            ret = value_set_apply(judge_arena(j), &ids, &one, &none, &ids);
        }
    }
    if (ret != 0 || value_is_null(&ids))
        return ret;
    struct with with[] = {{"attachment", ids}, {.name = NULL}};

    return judge_set(j, answer, with);
}

static int answered_already(struct judge *j, const struct row *submission, int64_t round,
                            struct slice unit, bool *ret)
{
    struct value self = value_id(&submission->id);
    struct row **rows;
    size_t n = 0;
    int status =
        lookup_find(judge_lookup(j), judge_arena(j), "answer", "submission_id", &self, &rows, &n);

    *ret = false;
    for (size_t i = 0; status == 0 && i < n; i++)
        *ret = *ret ||
               (row_int(rows[i], "round") == round && slice_eq(row_text(rows[i], "unit"), unit));
    return status;
}

static int write_answer(struct judge *j, const struct row *submission, const struct row *task,
                        const struct row *unit, const struct row *reply)
{
    struct row *answer;
    bool there;
    int ret =
        answered_already(j, submission, row_int(task, "round"), row_text(unit, "name"), &there);

    if (ret != 0 || there)
        return ret;
    struct with with[] = {
        {"submission_id", value_id(&submission->id)},
        {"case_id", *row_named(submission, "case_id")},
        {"round", *row_named(task, "round")},
        {"unit", *row_named(unit, "name")},
        {"doc_no", *row_named(reply, "doc_no")},
        {"reply_on", *row_named(reply, "reply_on")},
        {"result_class", *row_named(reply, "result_class")},
        {"body", *row_named(reply, "body")},
        {"commit_due", *row_named(reply, "commit_due")},
        {"public_reply", *row_named(reply, "public_reply")},
        {.name = NULL},
    };

    ret = judge_create(j, "answer", submission->stream, NULL, with, &answer);
    return ret != 0 ? ret : copy_attachments(j, reply, answer);
}

/* The reply of a task that passed its review; the newest when there are several. */
static int passed_reply(struct judge *j, const struct row *task, struct row **ret)
{
    struct value self = value_id(&task->id);
    struct row **rows;
    size_t n = 0;
    int status = lookup_find(judge_lookup(j), judge_arena(j), "reply", "task_id", &self, &rows, &n);

    *ret = NULL;
    for (size_t i = 0; status == 0 && i < n; i++) {
        if (row_says(rows[i], "review_result", "通过") &&
            (*ret == NULL || id_cmp(&rows[i]->id, &(*ret)->id) > 0))
            *ret = rows[i];
    }
    return status;
}

static int answer_by(struct judge *j, const struct row *task, const struct attached *to, size_t n)
{
    struct row *reply, *unit;
    int ret = passed_reply(j, task, &reply);

    if (ret == 0 && reply != NULL)
        ret = lookup_ref(judge_lookup(j), task, "unit_id", &unit);
    if (ret != 0 || reply == NULL || unit == NULL)
        return ret;
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = write_answer(j, to[i].submission, task, unit, reply);
    return ret;
}

int publish_answers(struct judge *j, struct row *of)
{
    struct value self = value_id(&of->id);
    struct attached *to;
    struct row **tasks;
    size_t n, n_tasks = 0;
    int ret = case_attached(j, of, &to, &n);

    if (ret == 0)
        ret = lookup_find(judge_lookup(j), judge_arena(j), "handling_task", "case_id", &self,
                          &tasks, &n_tasks);
    for (size_t i = 0; ret == 0 && i < n_tasks; i++) {
        if (row_state_in(tasks[i], "replied|closed"))
            ret = answer_by(j, tasks[i], to, n);
    }
    return ret;
}
