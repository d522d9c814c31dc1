-- A module stands beside its device, so that its twin, keys and session are kept as a device's. Its id here is
-- `device/module`, which no device has; `enabled` is its device's.
alter table device add column parent integer references device (key) on delete cascade;
alter table device add column managed_by text;
create index device_parent on device (parent) where parent is not null; -- modules::list_of, and the cascade
