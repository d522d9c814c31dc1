-- MQTT 5: how long after its end a session is kept; null = for ever, as with MQTT 3.1.1.
alter table hub_subscription add column expiry_seconds integer;
