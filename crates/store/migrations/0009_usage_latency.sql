-- How long allowed requests took: counts by bucket (usage/latency.rs says which times a bucket holds).
CREATE TABLE usage_latency (
  minute_us BIGINT NOT NULL,
  service BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  bucket BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  PRIMARY KEY (minute_us, service, tenant, bucket)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_latency_by_service ON usage_latency (service, minute_us);
