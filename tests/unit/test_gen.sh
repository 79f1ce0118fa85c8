#!/bin/sh
# catalogue_gen refuses a catalogue that contradicts itself, and names file and line.
#   test_gen.sh GENERATOR FOLDER
set -eu
gen=$1
tables=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# refuses WHAT FILE SED-EXPRESSION EXPECTED-MESSAGE
refuses() {
    cp "$tables"/*.tsv "$dir"
    sed -i "$3" "$dir/$2"
    if cmp -s "$dir/$2" "$tables/$2"; then
        echo "FAIL $1: the edit changed nothing"
        failed=1
    elif "$gen" "$dir" "$dir/out.c" 2>"$dir/err"; then
        echo "FAIL $1: accepted"
        failed=1
    elif ! grep -Eq "$4" "$dir/err"; then
        echo "FAIL $1:"
        cat "$dir/err"
        failed=1
    fi
}

t=$(printf '\t')
"$gen" "$tables" "$dir/good.c"

refuses "unknown reference" fields.tsv 's/ref:studio/ref:atelier/' "fields.tsv:[0-9]+: no kind 'atelier'"
refuses "unknown code table" fields.tsv 's/enum:party/enum:parties/' "no code table 'parties'"
refuses "unknown type" fields.tsv 's/\tphone\t/\tfax\t/' "unknown type 'fax'"
refuses "tag twice" fields.tsv "s/^opinion${t}3${t}/opinion${t}2${t}/" "tag 2 is not above"
refuses "label twice" fields.tsv 's/\t收集渠道\t/\t收集时间\t/' "label '收集时间' twice"
refuses "header field again" fields.tsv 's/^opinion\t3\tlog_id/opinion\t3\tstate/' "'state' is a header field"
refuses "condition on no field" fields.tsv 's/anonymous!=1/unknown!=1/' "opinion has no field 'unknown'"
refuses "condition on no code" fields.tsv 's/status!=active/status!=busy/' "no code 'busy'"
refuses "preset out of table" fields.tsv 's/\tnormal/\tusual/' "no code 'usual'"
refuses "bounds reversed" fields.tsv "s/^\(activity_group.*\)${t}3${t}/\1${t}2000${t}/" "minimum above maximum"
refuses "city reference from a site" fields.tsv 's/ref:case_card/ref:proposal_case/' "its readers do not get"
refuses "personal field shared" fields.tsv "s/^\(member_card${t}1${t}.*${t}city${t}\)/\1site/" "personal field member_card.name in a shared"
refuses "restricted field with readers" fields.tsv "s/^\(case_card${t}5${t}.*\)/\1/;s/^\(tracking${t}5${t}.*\)immutable/\1restricted/" "restricted field tracking.content"
refuses "published from nowhere" fields.tsv "s/^\(answer${t}4${t}.*\)rule/\1/" "answer.unit is in none of the sources"
refuses "unknown state" transitions.tsv "s/${t}received${t}duplicate${t}/${t}received${t}double${t}/" "transitions.tsv:[0-9]+: no code 'double'"
refuses "unreachable state" transitions.tsv "/${t}received${t}duplicate${t}/d" "state 'duplicate' of submission cannot"
refuses "unknown role" transitions.tsv 's/\tliaison\t/\tliaisons\t/' "no role 'liaisons'"
refuses "unknown required field" transitions.tsv 's/received_by/recieved_by/' "submission has no field 'recieved_by'"
refuses "unknown guard" transitions.tsv 's/not_received/not_recieved/' "no guard 'not_recieved'"
refuses "guard without use" transitions.tsv 's/\tnot_received\t/\t\t/' "guard 'not_received' guards nothing"
refuses "a field of the other side" transitions.tsv 's/county_opinion/received_by/' "role 'county_lead' must fill received_by"
refuses "city role in an up kind" transitions.tsv "s/^opinion${t}fed_back.*county_clerk/opinion${t}fed_back${t}closed${t}办结${t}liaison/" "which only goes up"
refuses "county role in a city kind" transitions.tsv "s/^reply/reply/;s/^\(circular${t}draft.*\)${t}liaison${t}/\1${t}county_lead${t}/" "which only comes down"
refuses "no such historic state" kinds.tsv 's/collected|handled/collected|finished/' "no code 'finished'"
refuses "business date is no date" kinds.tsv 's/\treceived_at\t/\ttitle\t/' "is not a date"
refuses "kind without fields" kinds.tsv 's/^65\t/66\tempty\t空\tcity\tdown\tshared\t\tP1\t\tsystem\n65\t/' "kind without fields|not above"
refuses "code twice" enums.tsv 's/\turgent\t/\tnormal\t/' "code 'normal' twice"
refuses "unused table" enums.tsv '$a spare\t备用\t1\ta\t甲\t\tY' "used by no field"
refuses "hole in positions" enums.tsv "s/^urgency${t}紧急程度${t}2/urgency${t}紧急程度${t}3/" "position 3, expected 2"
refuses "a version of nothing" since.tsv 's/^setting\t/settings\t/' "names nothing that is there"
refuses "a version to come" since.tsv 's/\t2\t/\t99\t/' "is not one after the first"
exit $failed
