create table partition (
    number int2 primary key,
    owner text,
    epoch int8 not null
);

-- Which key stands where in a row's numbers. Only added to, so that clients may keep what they read.
create table shape (
    key int4 generated always as identity primary key,
    tenant int4 not null references tenant (key),
    digest bytea not null, -- SHA-256 of the keys; the keys themselves can be longer than an index entry may be
    keys jsonb not null,
    typed bool not null, -- made from a device template
    unique (tenant, digest)
);

-- The hot part: one row a message, in a ring of leaves by arrival (not by ts). The compactor empties a leaf by
-- TRUNCATE, so the leaves need no vacuum.
create table tel_hot (
    device int8 not null,
    ts int8 not null, -- milliseconds since 1970
    shape int4 not null,
    slot int2 not null,
    vals float8[] not null,
    extra jsonb
) partition by list (slot);
create index tel_hot_device on tel_hot (device, ts); -- telemetry::history and raw
create table tel_hot_0 partition of tel_hot for values in (0) with (autovacuum_enabled = false);
create table tel_hot_1 partition of tel_hot for values in (1) with (autovacuum_enabled = false);
create table tel_hot_2 partition of tel_hot for values in (2) with (autovacuum_enabled = false);
create table tel_hot_3 partition of tel_hot for values in (3) with (autovacuum_enabled = false);

-- The leaf that is written to.
create table hot_ring (
    one bool primary key default true check (one),
    cur int2 not null
);
insert into hot_ring (cur) values (0);

-- One row a device: when it was heard of, and {"key": [ts, value]}. The fill factor leaves room for updates in place.
create table latest (
    device int8 primary key,
    seen_ms int8 not null,
    doc jsonb not null
) with (fillfactor = 50);

-- Batches that are stored. A batch that comes again is found here and skipped.
create table ledger (
    id uuid primary key,
    at_ms int8 not null default (extract(epoch from now()) * 1000)::int8
);
create index ledger_at on ledger using brin (at_ms); -- counters::purge_ledger; rows come in its order

-- Messages by what became of them. The partition is in the key so that workers do not wait for each other.
create table ledger_count (
    tenant int4 not null references tenant (key),
    partition int2 not null,
    outcome text not null, -- 'received', 'stored', 'deadLettered' or 'rejected:<reason>'
    messages int8 not null,
    primary key (tenant, partition, outcome)
) with (fillfactor = 50);

create table rejected_message (
    id uuid primary key,
    tenant int4 not null references tenant (key),
    device int8 not null,
    at_ms int8 not null,
    reason text not null,
    bag text not null,
    payload bytea not null
);
create index rejected_message_tenant on rejected_message (tenant, id); -- counters::list_rejected
create index rejected_message_device on rejected_message (device, id); -- counters::list_rejected of a device

alter table shape enable row level security;
create policy tenant_scope on shape to muster_tenant
    using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert on shape to muster_tenant;

-- Only for reading: COPY FROM is refused under row-level security, so the worker writes as the owner.
alter table tel_hot enable row level security;
create policy tenant_scope on tel_hot to muster_tenant
    using (device >> 32 = (select current_setting('muster.tenant')::int8));
grant select on tel_hot to muster_tenant;

alter table latest enable row level security;
create policy tenant_scope on latest to muster_tenant
    using (device >> 32 = (select current_setting('muster.tenant')::int8));
grant select, delete on latest to muster_tenant;

alter table ledger_count enable row level security;
create policy tenant_scope on ledger_count to muster_tenant
    using (tenant = (select current_setting('muster.tenant')::int4));
grant select on ledger_count to muster_tenant;

alter table rejected_message enable row level security;
create policy tenant_scope on rejected_message to muster_tenant
    using (tenant = (select current_setting('muster.tenant')::int4));
grant select, delete on rejected_message to muster_tenant;
