package dev.vireo.controller.api;

import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeStart;
import java.util.List;
import java.util.regex.Pattern;

/**
 * What can be said of a client's messages to a guest's HTTP server by looking at each (RFC 9110,
 * 9112).
 */
final class InvokeValidator {
  static final int MAX_HEADERS = 100;
  static final int MAX_HEAD_BYTES = 32 << 10;
  static final long MAX_TIMEOUT_SECONDS = 86_400;

  private static final Pattern TOKEN = Pattern.compile("[-!#$%&'*+.^_`|~0-9A-Za-z]{1,256}");
  private static final Pattern PATH = Pattern.compile("/[!-~]*");
  private static final Pattern VALUE = Pattern.compile("[\\t -~\\x80-\\xff]*");
  private static final Pattern LENGTH = Pattern.compile("[0-9]{1,18}");

  private InvokeValidator() {}

  static Violations invoke(InvokeRequest request, boolean first) {
    Violations violations = new Violations();
    switch (request.getRequestCase()) {
      case START -> {
        StreamRules.once(first, violations);
        start(request.getStart(), violations);
      }
      case BODY -> StreamRules.data("body", request.getBody(), first, violations);
      case END -> StreamRules.afterStart("end", first, violations);
      case REQUEST_NOT_SET -> StreamRules.notSet(first, "request", violations);
    }
    return violations;
  }

  private static void start(InvokeStart start, Violations violations) {
    violations.invalidIf(
        (!start.getMethod().isEmpty() && !TOKEN.matcher(start.getMethod()).matches())
            || start.getMethod().equals("CONNECT"),
        "start.method",
        "must be an HTTP method, and not CONNECT.");
    path("start.path", start.getPath(), violations);
    FieldRules.portOrNone("start.port", start.getPort(), violations);
    if (start.hasTimeout()) {
      violations.invalidIf(
          !FieldRules.isPositiveDuration(start.getTimeout(), MAX_TIMEOUT_SECONDS),
          "start.timeout",
          "must be more than 0 and at most %d s.",
          MAX_TIMEOUT_SECONDS);
    }
    headers(start, violations);
  }

  private static void headers(InvokeStart start, Violations violations) {
    List<HttpHeader> headers = start.getHeadersList();
    int bytes = start.getPath().length();
    for (int i = 0; i < Math.min(headers.size(), MAX_HEADERS); i++) {
      HttpHeader header = headers.get(i);
      bytes += header.getName().length() + header.getValue().length();
      violations.invalidIf(
          !TOKEN.matcher(header.getName()).matches(),
          "start.headers[%d].name".formatted(i),
          "must be an HTTP token of at most 256 characters.");
      violations.invalidIf(
          !VALUE.matcher(header.getValue()).matches(),
          "start.headers[%d].value".formatted(i),
          "has a control character, or one beyond U+00FF.");
    }
    violations.invalidIf(
        headers.size() > MAX_HEADERS || bytes > MAX_HEAD_BYTES,
        "start.headers",
        "are %d, and %d bytes with the path; at most %d, and %d bytes.",
        headers.size(),
        bytes,
        MAX_HEADERS,
        MAX_HEAD_BYTES);
    List<String> lengths =
        headers.stream()
            .filter(header -> header.getName().equalsIgnoreCase("content-length"))
            .map(HttpHeader::getValue)
            .toList();
    violations.invalidIf(
        lengths.size() > 1 || !lengths.stream().allMatch(it -> LENGTH.matcher(it).matches()),
        "start.headers",
        "must have at most one Content-Length, of 1 to 18 digits.");
  }

  /** Of a request, with its query; empty is well. */
  static void path(String field, String path, Violations violations) {
    violations.invalidIf(
        !path.isEmpty() && !PATH.matcher(path).matches(),
        field,
        "must begin with \"/\" and be visible ASCII: anything else is written as %%XX.");
  }
}
