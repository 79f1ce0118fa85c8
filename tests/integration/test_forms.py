"""One of each of the four forms walks its whole road: county, city, unit, and back to the county."""
import datetime

import pytest

TODAY = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=8)).date()
DUE = TODAY + datetime.timedelta(days=60)
USERS = {"xue": "liaison", "ti": "proposal_committee", "ban": "office", "zhu": "office", "qian": "leader_sg"}
FORMS = {"proposal": ["proposer_type=individual", "allow_public=1", "allow_second=1", "analysis=经费没有列入预算。"],
         "public_opinion": [], "special_report": ["analysis=管护责任不清。"], "micro_suggestion": []}


class World:
    """A city with its users and units, 市本级 with a member, two counties with a studio each."""

    def __init__(self, city, make_county):
        self.city = city
        for login, role in USERS.items():
            city.run("user", "add", login, "--role", role)
        for unit in ("市住建局", "市城管局"):
            city.run("add", "org_unit", f"name={unit}", "unit_type=gov", "is_undertaker=1",
                     "is_counterpart=0", "active=1", "--as", "xue")
        self.own = make_county("own").enrol(city, 431000)
        self.county = make_county("county").enrol(city, 431021)
        self.other = make_county("other").enrol(city, 431081)
        self.own.sync()
        self.member = self.own.add("member", "name=张明远", "gender=男", "party=cndca", "level=city",
                                   "sector_id=经济", "unit_title=市工商联副主席", "expertise=城市建设",
                                   "phone=13900020002", "term_id=政协郴州市第五届委员会", "status=active")
        self.own.sync()
        for county, name in ((self.county, "李建国"), (self.other, "曾晓东")):
            county.sync()
            county.settle(name, name + "工作室")
        self.county.sync()
        self.other.sync()

    def act(self, login, action, record, *fields):
        self.city.run("do", action, record, *fields, "--as", login)

    def draft(self, form, title):
        return self.county.add("submission", "studio_id=李建国工作室", f"form={form}", f"title={title}",
                               "category=社会建设", "situation=部分路段路灯损坏已久，夜间出行不便。",
                               "suggestion=一、明确管护单位；二、经费列入预算。", "urgency=normal", "no_secret=1",
                               "lead_member=" + ("张明远" if form == "proposal" else "李建国"), *FORMS[form])

    def approve(self, record):
        self.county.run("do", "送审", record)
        self.county.run("do", "审核通过并上报", record, "county_reviewer=clerk")

    def forward(self, form):
        record = self.draft(form, f"关于修复路灯的{form}")
        self.approve(record)
        self.county.sync()
        return record

    def transfer(self, record):
        """Both hops of 四(二): whoever files it gets it from the liaison."""
        self.act("xue", "签收", record, "received_by=周联络")
        if self.city.json("show", record)["fields"]["form"] == "proposal":
            self.act("xue", "转提案委审查立案", record, "route_target=proposal_committee")
            return self.case("proposal_case", record)
        self.act("xue", "转市政协办公室分类处理", record, "route_target=office")
        return self.case("info_case", record)

    def case(self, kind, record):
        found = self.city.json("ls", kind, "--where", f"submission_id={record}")
        assert [c["state"] for c in found] == ["registered"]
        return found[0]["id"]

    def assign(self, login, kind, case):
        """A task, written before the case is assigned."""
        return self.city.run("add", "handling_task", f"case_kind={kind}", f"case_id={case}", "unit_id=市住建局",
                             "unit_role=single", f"assigned_on={TODAY}", f"due_on={DUE}", "--as", login,
                             "--quiet").stdout.strip()

    def answer(self, login, task, body):
        self.act(login, "签收", task, f"signed_on={TODAY}", "signed_by=代录")
        self.act(login, "开始办理", task, "contact_person=李科长")
        self.city.run("add", "reply", f"task_id={task}", f"reply_on={TODAY}", "signer=陈局长",
                      "contact_mode=phone", "result_class=A", f"body={body}", "is_implemented=1",
                      "public_reply=1", "review_result=通过", "--as", login)
        self.act(login, "报送答复", task)
        self.act(login, "审查通过", task)

    def at_county(self, record, *, state, case_state=None):
        """What the county sees after a sync: the same as the city."""
        self.county.sync()
        seen = self.county.json("show", record)
        assert seen["state"] == state == self.city.json("show", record)["state"]
        assert case_state is None or seen["fields"]["case_state"] == case_state
        return seen

    def of_submission(self, kind, record):
        return self.county.json("ls", kind, "--where", f"submission_id={record}")

    def nodes(self, record):
        rows = self.of_submission("tracking", record)
        return [t["fields"]["node"] for t in sorted(rows, key=lambda t: t["seq"])]

    def acknowledge(self, record):
        self.county.sync()
        for row in self.of_submission("tracking", record):
            if not row["fields"].get("ack_at"):
                self.county.run("set", row["id"], "ack_by=clerk", f"ack_at={TODAY} 10:00")
        self.county.sync()

    def close(self, record):
        self.acknowledge(record)
        self.act("xue", "办结归档", record)
        self.at_county(record, state="closed")

    def feedback(self, record, result="satisfied"):
        card = self.of_submission("case_card", record)[0]["id"]
        answer = self.of_submission("answer", record)[0]["id"]
        member = "张明远" if self.county.json("show", record)["fields"]["form"] == "proposal" else "李建国"
        made = self.county.add("feedback", f"case_id={card}", f"answer_id={answer}", f"member_id={member}",
                               "contacted=1", "attitude=satisfied", f"result={result}", f"feedback_on={TODAY}")
        self.county.sync()
        return made


@pytest.fixture
def world(city, make_county):
    world = World(city, make_county)
    before = streams(world.other)
    yield world
    # The second county saw none of it.
    world.other.sync()
    assert streams(world.other)["431081"] == before["431081"]
    for kind in ("submission", "opinion", "tracking", "case_card", "answer", "feedback"):
        assert world.other.json("ls", kind) == []
    for side in (world.city, world.own, world.county, world.other):
        side.run("verify")


def streams(county):
    return {s["name"]: (s["cursor"], s["hash"]) for s in county.status()["streams"]}


def test_proposal(world):
    opinion = world.county.add("opinion", "title=路灯不亮", "content=天黑后看不见路。", "channel=duty",
                               "receiver=李建国", f"received_at={TODAY} 9:30", "studio_id=李建国工作室",
                               "category=社会建设", "anonymous=1")
    world.county.run("do", "核实", opinion)
    record = world.draft("proposal", "关于修复路灯的提案")
    world.county.run("set", record, f"source_opinions={opinion}")
    world.county.run("do", "形成转送件", opinion, f"submission_id={record}", "reasonable=1")
    world.approve(record)
    world.county.sync()

    case = world.transfer(record)
    world.act("ti", "开始审查", case, "reviewer=唐提案")
    world.act("ti", "立案", case, "review_opinion=符合立案标准", f"review_on={TODAY}", f"filed_on={TODAY}")
    case_no = world.city.json("show", case)["fields"]["case_no"]
    task = world.assign("ti", "proposal_case", case)
    world.act("ti", "交办", case, "handle_kind=single", f"assigned_on={TODAY}", f"due_on={DUE}")
    seen = world.at_county(record, state="in_process", case_state="assigned")
    assert seen["fields"]["receipt_no"] and seen["fields"]["received_by"] == "周联络"
    world.answer("ti", task, "损坏的路灯已全部修复。")

    world.at_county(record, state="answered")
    card = world.of_submission("case_card", record)
    assert [(c["fields"]["case_kind"], c["fields"]["case_no"], c["fields"]["lead_unit"]) for c in card] == [
        ("proposal_case", case_no, "市住建局")]
    answers = world.of_submission("answer", record)
    assert [(a["fields"]["body"], a["fields"]["unit"]) for a in answers] == [("损坏的路灯已全部修复。", "市住建局")]
    assert world.nodes(record) == ["收文", "签收", "转送", "审查", "立案", "交办", "签收", "办理", "答复送审", "答复"]

    # The citizen whose word it was hears of it.
    world.county.run("do", "市级反馈到达", opinion, "result=损坏的路灯已全部修复。")
    world.county.run("do", "反馈群众", opinion, f"feedback_on={TODAY}", "feedback_mode=phone")
    world.county.run("do", "办结", opinion)
    feedback = world.feedback(record)
    assert world.city.json("show", feedback)["fields"]["result"] == "satisfied"
    assert world.city.json("show", opinion)["state"] == "closed"
    if world.city.json("show", case)["state"] == "replied":
        world.act("ti", "征询提案者意见", case)
    world.act("ti", "办结", case)
    world.act("ti", "归档", case)
    world.at_county(record, state="answered", case_state="archived")
    world.close(record)


@pytest.mark.parametrize("form", ["public_opinion", "special_report"])
def test_information(world, form):
    record = world.forward(form)
    case = world.transfer(record)
    world.act("ban", "初审", case)
    world.act("ban", "采用", case, "screen_opinion=可用")
    world.act("ban", "编辑成稿", case, "final_text=部分路段路灯损坏，建议修复。", "editor=黄编辑")
    world.act("zhu", "审核", case, "approver=朱主任")
    world.act("qian", "签发", case, "signer=钱秘书长")
    world.act("ban", "印发报送", case, "issue_no=2026-12", f"issue_on={TODAY}", "send_to=市政府办")
    world.city.run("add", "adoption", "case_kind=info_case", f"case_id={case}", "kind=instruction", "level=government",
                   "rank=municipal", "leader=市长", "content=请住建局办理", f"on_date={TODAY}", "--as", "ban")
    world.act("ban", "获批示", case)
    world.at_county(record, state="in_process", case_state="instructed")
    task = world.assign("ban", "info_case", case)
    world.act("ban", "批示转办", case, f"due_on={DUE}")
    world.answer("ban", task, "已经修复。")
    world.at_county(record, state="answered", case_state="replied")
    assert [a["fields"]["body"] for a in world.of_submission("answer", record)] == ["已经修复。"]
    assert "批示" in world.nodes(record)
    world.feedback(record)
    world.act("ban", "办结", case)
    world.close(record)


def test_micro_suggestion(world):
    record = world.forward("micro_suggestion")
    case = world.transfer(record)
    world.act("ban", "初审", case)
    task = world.assign("ban", "info_case", case)
    world.act("ban", "直接转办", case, f"due_on={DUE}")
    world.answer("ban", task, "已经修复。")
    world.at_county(record, state="answered", case_state="replied")
    assert world.city.json("show", case)["fields"]["due_on"] == str(DUE)
    world.act("ban", "办结", case)
    world.close(record)


def test_sent_back_and_corrected_before_there_is_a_case(world):
    record = world.forward("micro_suggestion")
    number = world.county.json("show", record)["serial"]
    world.act("xue", "签收", record, "received_by=周联络")
    world.act("xue", "退回补正", record, "return_reason=请写明路段")
    seen = world.at_county(record, state="returned")
    assert seen["fields"]["return_reason"] == "请写明路段"
    world.county.run("set", record, "situation=人民路东段路灯损坏已久，夜间出行不便。")
    world.county.run("do", "补正重报", record)
    world.county.sync()
    assert world.city.json("show", record)["serial"] == number
    assert "人民路东段" in world.city.json("show", record)["fields"]["situation"]
    world.transfer(record)


def test_sent_back_goes_on_in_the_same_case(world):
    record = world.forward("proposal")
    case = world.transfer(record)
    world.act("ti", "开始审查", case, "reviewer=唐提案")
    world.act("ti", "退回补正", case, "review_opinion=请写明路段")
    seen = world.at_county(record, state="returned", case_state="supplement")
    assert "请写明路段" in "".join(t["fields"]["content"] for t in world.of_submission("tracking", record))
    shown, history = (world.county.run(word, record).stdout for word in ("show", "log"))
    for text in (shown, history):  # in the words of the catalogue
        assert "proposal_case" not in text and "supplement" not in text, text
        assert "退回补正" in text, text
    assert " 市级用户 " in history and " 系统 " in history and " clerk " in history, history
    world.county.run("set", record, "situation=人民路东段路灯损坏已久，夜间出行不便。")
    world.county.run("do", "补正重报", record)
    back = world.at_county(record, state="routed_proposal")
    assert back["serial"] == seen["serial"] and back["fields"]["case_id"] == seen["fields"]["case_id"]
    assert world.city.json("show", case)["state"] == "reviewing"
    assert len(world.city.json("ls", "proposal_case")) == 1
    world.act("ti", "立案", case, "review_opinion=符合立案标准", f"review_on={TODAY}", f"filed_on={TODAY}")
    world.at_county(record, state="in_process", case_state="filed")


def test_the_locked_is_not_edited_nor_withdrawn(world):
    record = world.forward("public_opinion")
    assert world.county.run("set", record, "situation=别的情况", expect=1).stderr.startswith("ZT-")
    world.act("xue", "签收", record, "received_by=周联络")
    # The county does not know yet that it was signed for, and takes it back in good faith.
    world.county.run("do", "撤回", record)
    world.county.sync(expect=1)
    refused = world.county.json("refused")
    assert len(refused) == 1 and refused[0]["message"] == "已签收不能撤回"
    assert world.county.json("show", record)["state"] == "received"
