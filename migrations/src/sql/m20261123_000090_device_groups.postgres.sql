-- Device groups: a query each. The one that every template has from the start goes with its template.
create table device_group (
    tenant int4 not null references tenant (key),
    id text collate "C" not null,
    display_name text not null,
    description text not null,
    filter text not null,
    automatic_of text collate "C",
    version int8 not null,
    created_ms int8 not null,
    updated_ms int8 not null,
    primary key (tenant, id),
    foreign key (tenant, automatic_of) references template (tenant, id) on delete cascade
);
create index device_group_automatic on device_group (tenant, automatic_of);
insert into device_group
select tenant, gen_random_uuid()::text, display_name || ': all devices', '',
       'SELECT * FROM devices WHERE $template = "' || id || '"', id, 1, created_ms, created_ms
from template where published;

alter table device_group enable row level security;
create policy tenant_scope on device_group to muster_tenant using (tenant = (select current_setting('muster.tenant')::int4));
grant select, insert, update, delete on device_group to muster_tenant;
