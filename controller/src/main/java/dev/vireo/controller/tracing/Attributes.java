package dev.vireo.controller.tracing;

import io.opentelemetry.api.common.AttributeKey;

/** Names of attributes: OpenTelemetry's semantic conventions, and ours. */
final class Attributes {
  static final AttributeKey<String> RPC_SYSTEM = AttributeKey.stringKey("rpc.system");
  static final AttributeKey<String> RPC_SERVICE = AttributeKey.stringKey("rpc.service");
  static final AttributeKey<String> RPC_METHOD = AttributeKey.stringKey("rpc.method");
  static final AttributeKey<Long> RPC_GRPC_STATUS = AttributeKey.longKey("rpc.grpc.status_code");
  static final AttributeKey<String> DB_SYSTEM = AttributeKey.stringKey("db.system.name");
  static final AttributeKey<String> DB_OPERATION = AttributeKey.stringKey("db.operation.name");
  static final AttributeKey<Long> DB_BATCH_SIZE = AttributeKey.longKey("db.operation.batch.size");
  static final AttributeKey<String> ERROR_TYPE = AttributeKey.stringKey("error.type");

  /** A microVM's resource name. */
  static final AttributeKey<String> MICROVM = AttributeKey.stringKey("vireo.microvm");

  /** A node's id. */
  static final AttributeKey<String> NODE = AttributeKey.stringKey("vireo.node");

  static final AttributeKey<Long> ATTEMPT = AttributeKey.longKey("vireo.attempt");

  /** Why no node can take it. */
  static final AttributeKey<String> UNPLACEABLE = AttributeKey.stringKey("vireo.unplaceable");

  /** Of a report: as in {@code MicroVmReport}. */
  static final AttributeKey<String> OUTCOME = AttributeKey.stringKey("vireo.outcome");

  static final AttributeKey<String> STATE = AttributeKey.stringKey("vireo.state");
  static final AttributeKey<Boolean> READY = AttributeKey.booleanKey("vireo.ready");

  private Attributes() {}
}
