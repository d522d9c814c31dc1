-- What was asked of devices by commands, and what came of it.
create table command_run (
    device int8 not null references device (key) on delete cascade,
    id uuid not null,
    command text collate "C" not null, -- component*name, or name
    asked_ms int8 not null,
    asked_by text not null,
    request jsonb,
    state text not null,
    reason text,
    status int8,
    response jsonb,
    fits bool not null,
    ended_ms int8,
    primary key (device, id)
);
create index command_run_command on command_run (device, command, id); -- command_runs::list
create index command_run_open on command_run (device) where state in ('sent', 'running'); -- command_runs::open

alter table command_run enable row level security;
create policy tenant_scope on command_run to muster_tenant using (device >> 32 = (select current_setting('muster.tenant')::int8));
grant select, insert, update, delete on command_run to muster_tenant;
