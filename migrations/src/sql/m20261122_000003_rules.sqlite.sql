create table rule (
    id blob primary key not null,
    tenant integer not null references tenant (key),
    template text not null,
    enabled boolean not null,
    document text not null,
    version integer not null,
    created_ms integer not null,
    updated_ms integer not null
);
create index rule_tenant on rule (tenant, id); -- rules::list
create index rule_template on rule (tenant, template); -- rules::list_enabled and count_of_template

create table alert (
    id blob primary key not null,
    tenant integer not null references tenant (key),
    rule blob not null,
    rule_name text not null,
    device integer not null,
    device_id text not null,
    device_name text not null,
    severity text not null,
    opened_ms integer not null,
    cleared_ms integer,
    acknowledged_by text,
    acknowledged_ms integer,
    "values" text not null,
    reason text not null
);
-- At most one alert of a rule and a device is not cleared: this index makes opening one idempotent.
create unique index alert_open on alert (rule, device) where cleared_ms is null;
create index alert_tenant on alert (tenant, id); -- alerts::list
create index alert_tenant_open on alert (tenant, id) where cleared_ms is null; -- alerts::list of open ones, count_open
create index alert_device on alert (device, id); -- alerts::list of a device, open_of_devices

create table dashboard (
    tenant integer not null references tenant (key),
    id text not null,
    document text not null,
    version integer not null,
    primary key (tenant, id)
);

create table outbox (
    id blob primary key not null,
    tenant integer not null references tenant (key),
    kind text not null,
    payload text not null,
    state text not null,
    attempts integer not null,
    due_ms integer not null,
    last_error text,
    created_ms integer not null
);
create index outbox_due on outbox (due_ms) where state = 'pending'; -- outbox::claim_due and next_due
create index outbox_done on outbox (due_ms) where state = 'done'; -- outbox::purge_done
create index outbox_tenant on outbox (tenant, state, id); -- outbox::list
