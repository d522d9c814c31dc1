-- The number of a device's last message; its row is the lock of the device's queue.
create table c2d_queue (
    device int8 primary key references device (key) on delete cascade,
    last_sequence int8 not null
);

-- Cloud-to-device messages that wait for their device.
create table c2d_message (
    device int8 not null references device (key) on delete cascade,
    sequence int8 not null,
    message_id text not null,
    feedback text not null,
    bag text not null, -- as its device gets it
    payload bytea not null,
    enqueued_ms int8 not null,
    expires_ms int8 not null,
    deliveries int4 not null,
    lock_token uuid,
    locked_until_ms int8,
    primary key (device, sequence)
);
create index c2d_message_expires on c2d_message (expires_ms); -- c2d::expire
create index c2d_message_enqueued on c2d_message (enqueued_ms); -- c2d::held_since

-- What became of messages whose senders want to hear of it.
create table c2d_feedback (
    tenant int4 not null references tenant (key),
    id uuid not null,
    message_id text not null,
    device_id text not null,
    generation text not null,
    outcome text not null,
    at_ms int8 not null,
    lock_token uuid,
    locked_until_ms int8,
    primary key (tenant, id)
);
create index c2d_feedback_at on c2d_feedback (at_ms); -- c2d::purge_feedback

do $$
declare name text;
begin
    foreach name in array array['c2d_queue', 'c2d_message'] loop
        execute format('alter table %I enable row level security', name);
        execute format('create policy tenant_scope on %I to muster_tenant using (device >> 32 = (select current_setting(''muster.tenant'')::int8))', name);
        execute format('grant select, insert, update, delete on %I to muster_tenant', name);
    end loop;
    alter table c2d_feedback enable row level security;
    create policy tenant_scope on c2d_feedback to muster_tenant using (tenant = (select current_setting('muster.tenant')::int4));
    grant select, insert, update, delete on c2d_feedback to muster_tenant;
end $$;
