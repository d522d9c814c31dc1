create table rule (
    id uuid primary key,
    tenant int4 not null references tenant (key),
    template text collate "C" not null,
    enabled bool not null,
    document jsonb not null,
    version int8 not null,
    created_ms int8 not null,
    updated_ms int8 not null
);
create index rule_tenant on rule (tenant, id); -- rules::list
create index rule_template on rule (tenant, template); -- rules::list_enabled and count_of_template

create table alert (
    id uuid primary key,
    tenant int4 not null references tenant (key),
    rule uuid not null,
    rule_name text not null,
    device int8 not null,
    device_id text not null,
    device_name text not null,
    severity text not null,
    opened_ms int8 not null,
    cleared_ms int8,
    acknowledged_by text,
    acknowledged_ms int8,
    "values" jsonb not null,
    reason text not null
);
-- At most one alert of a rule and a device is not cleared: this index makes opening one idempotent.
create unique index alert_open on alert (rule, device) where cleared_ms is null;
create index alert_tenant on alert (tenant, id); -- alerts::list
create index alert_tenant_open on alert (tenant, id) where cleared_ms is null; -- alerts::list of open ones, count_open
create index alert_device on alert (device, id); -- alerts::list of a device, open_of_devices

create table dashboard (
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    document jsonb not null,
    version int8 not null,
    primary key (tenant, id)
);

create table outbox (
    id uuid primary key,
    tenant int4 not null references tenant (key),
    kind text not null,
    payload jsonb not null,
    state text not null,
    attempts int4 not null,
    due_ms int8 not null,
    last_error text,
    created_ms int8 not null
);
create index outbox_due on outbox (due_ms) where state = 'pending'; -- outbox::claim_due and next_due
create index outbox_done on outbox (due_ms) where state = 'done'; -- outbox::purge_done
create index outbox_tenant on outbox (tenant, state, id); -- outbox::list

do $$
declare name text;
begin
    foreach name in array array['rule', 'alert', 'dashboard', 'outbox'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy tenant_scope on %I to muster_tenant using (tenant = (select current_setting(''muster.tenant'')::int4))', name);
        execute format('grant select, insert, update, delete on %I to muster_tenant', name);
    end loop;
end $$;
