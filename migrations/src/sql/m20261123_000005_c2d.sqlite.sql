-- The number of a device's last message.
create table c2d_queue (
    device integer primary key not null references device (key) on delete cascade,
    last_sequence integer not null
);

-- Cloud-to-device messages that wait for their device.
create table c2d_message (
    device integer not null references device (key) on delete cascade,
    sequence integer not null,
    message_id text not null,
    feedback text not null,
    bag text not null, -- as its device gets it
    payload blob not null,
    enqueued_ms integer not null,
    expires_ms integer not null,
    deliveries integer not null,
    lock_token blob,
    locked_until_ms integer,
    primary key (device, sequence)
);
create index c2d_message_expires on c2d_message (expires_ms); -- c2d::expire
create index c2d_message_enqueued on c2d_message (enqueued_ms); -- c2d::held_since

-- What became of messages whose senders want to hear of it.
create table c2d_feedback (
    tenant integer not null references tenant (key),
    id blob not null,
    message_id text not null,
    device_id text not null,
    generation text not null,
    outcome text not null,
    at_ms integer not null,
    lock_token blob,
    locked_until_ms integer,
    primary key (tenant, id)
);
create index c2d_feedback_at on c2d_feedback (at_ms); -- c2d::purge_feedback
