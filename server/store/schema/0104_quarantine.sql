-- Acts that are kept aside until a person at the city decides.

CREATE INDEX refusal_kept ON refusal (pos) WHERE quarantined = 1;

-- Refusals that were decided since they were acknowledged: the replica is told again.
CREATE TABLE refusal_again (
    pos INTEGER PRIMARY KEY -- of the refusal
);
