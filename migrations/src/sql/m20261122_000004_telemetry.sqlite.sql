create table partition (
    number integer primary key not null,
    owner text,
    epoch integer not null
);

-- Which key stands where in a row's numbers. Only added to, so that clients may keep what they read.
create table shape (
    key integer primary key autoincrement,
    tenant integer not null references tenant (key),
    digest blob not null, -- SHA-256 of the keys
    keys text not null,
    typed boolean not null, -- made from a device template
    unique (tenant, digest)
);

-- One row a message; vals is a JSON array of numbers and nulls, so that SQL can aggregate it.
create table tel_hot (
    device integer not null,
    ts integer not null, -- milliseconds since 1970
    shape integer not null,
    vals text not null,
    extra text
);
create index tel_hot_device on tel_hot (device, ts); -- telemetry::history and raw

-- One row a device: when it was heard of, and {"key": [ts, value]}.
create table latest (
    device integer primary key not null,
    seen_ms integer not null,
    doc text not null
);

-- Batches that are stored. A batch that comes again is found here and skipped.
create table ledger (
    id blob primary key not null,
    at_ms integer not null default (cast(unixepoch('subsec') * 1000 as integer))
) without rowid;
create index ledger_at on ledger (at_ms); -- counters::purge_ledger

create table ledger_count (
    tenant integer not null references tenant (key),
    partition integer not null,
    outcome text not null, -- 'received', 'stored', 'deadLettered' or 'rejected:<reason>'
    messages integer not null,
    primary key (tenant, partition, outcome)
) without rowid;

create table rejected_message (
    id blob primary key not null,
    tenant integer not null references tenant (key),
    device integer not null,
    at_ms integer not null,
    reason text not null,
    bag text not null,
    payload blob not null
);
create index rejected_message_tenant on rejected_message (tenant, id); -- counters::list_rejected
create index rejected_message_device on rejected_message (device, id); -- counters::list_rejected of a device
