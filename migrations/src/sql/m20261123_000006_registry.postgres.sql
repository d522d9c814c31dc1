-- Raised with each change by a service (tags, desired properties): the twin's etag.
alter table twin add column service_version int8 not null default 1;

-- Why a device is enabled or disabled, and since when.
alter table device add column status_reason text, add column status_changed_ms int8;
