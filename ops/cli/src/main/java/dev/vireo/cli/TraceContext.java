package dev.vireo.cli;

import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The trace that a command is part of, as {@code $TRACEPARENT} says it: W3C Trace Context, passed
 * on as it is. What is none counts as not set.
 */
final class TraceContext {
  private static final Pattern TRACEPARENT =
      Pattern.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}");

  private static final Metadata.Key<String> HEADER =
      Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER);

  private TraceContext() {}

  /** The channel with the trace in each call's metadata. */
  static Channel of(Channel channel, Map<String, String> variables) {
    String traceparent = variables.getOrDefault("TRACEPARENT", "");
    if (!TRACEPARENT.matcher(traceparent).matches()) {
      return channel;
    }
    Metadata headers = new Metadata();
    headers.put(HEADER, traceparent);
    return ClientInterceptors.intercept(
        channel, MetadataUtils.newAttachHeadersInterceptor(headers));
  }
}
