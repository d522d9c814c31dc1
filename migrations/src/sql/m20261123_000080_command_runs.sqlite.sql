-- What was asked of devices by commands, and what came of it.
create table command_run (
    device integer not null references device (key) on delete cascade,
    id blob not null,
    command text not null, -- component*name, or name
    asked_ms integer not null,
    asked_by text not null,
    request text,
    state text not null,
    reason text,
    status integer,
    response text,
    fits boolean not null,
    ended_ms integer,
    primary key (device, id)
);
create index command_run_command on command_run (device, command, id); -- command_runs::list
create index command_run_open on command_run (device) where state in ('sent', 'running'); -- command_runs::open
