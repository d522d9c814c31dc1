-- Device groups: a query each. The one that every template has from the start goes with its template.
create table device_group (
    tenant integer not null references tenant (key),
    id text not null,
    display_name text not null,
    description text not null,
    filter text not null,
    automatic_of text,
    version integer not null,
    created_ms integer not null,
    updated_ms integer not null,
    primary key (tenant, id),
    foreign key (tenant, automatic_of) references template (tenant, id) on delete cascade
);
create index device_group_automatic on device_group (tenant, automatic_of);
insert into device_group
select tenant, lower(hex(randomblob(16))), display_name || ': all devices', '',
       'SELECT * FROM devices WHERE $template = "' || id || '"', id, 1, created_ms, created_ms
from template where published;
