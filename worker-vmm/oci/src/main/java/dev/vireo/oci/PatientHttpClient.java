package dev.vireo.oci;

import com.google.cloud.tools.jib.http.FailoverHttpClient;
import com.google.cloud.tools.jib.http.Request;
import com.google.cloud.tools.jib.http.Response;
import com.google.cloud.tools.jib.http.ResponseException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.URL;
import java.time.Duration;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Jib's HTTP client, that asks again when a registry is too busy, after as long as the registry
 * says (RFC 9110, "Retry-After").
 */
final class PatientHttpClient extends FailoverHttpClient {
  private static final Pattern LOOPBACK =
      Pattern.compile("(localhost|127(\\.\\d{1,3}){3}|\\[::1\\])(:\\d+)?");
  private static final int MOST_ATTEMPTS = 5;
  private static final int TOO_MANY_REQUESTS = 429;
  private static final int BAD_GATEWAY = 502;
  private static final int UNAVAILABLE = 503;
  private static final int GATEWAY_TIMEOUT = 504;

  /** What is asked to wait longer is not waited for. */
  private static final Duration LONGEST_WAIT = Duration.ofSeconds(30);

  /** Waits. */
  @FunctionalInterface
  interface Sleeper {
    void sleep(Duration duration) throws InterruptedException;
  }

  private final boolean plain;
  private final Sleeper sleeper;

  /** For any other host: a registry of this machine may send us to one. */
  private final FailoverHttpClient withTls = new FailoverHttpClient(false, false, event -> {});

  /**
   * @param plain whether HTTP without TLS is spoken with this machine
   */
  PatientHttpClient(boolean plain, Sleeper sleeper) {
    super(plain, plain, event -> {});
    this.plain = plain;
    this.sleeper = sleeper;
  }

  /** Whether a host, with or without a port, is this machine. */
  static boolean isLoopback(String host) {
    return LOOPBACK.matcher(host).matches();
  }

  @Override
  public Response call(String method, URL url, Request request) throws IOException {
    for (int attempt = 1; ; attempt++) {
      try {
        // The URL's own host: where a registry has its tokens from may be anywhere.
        return plain && isLoopback(url.getHost())
            ? super.call(method, withoutTls(url), request)
            : withTls.call(method, url, request);
      } catch (ResponseException e) {
        if (attempt == MOST_ATTEMPTS || !isBusy(e.getStatusCode())) {
          throw e;
        }
        Duration wait = wait(e.getHeaders().getRetryAfter(), attempt);
        if (wait.compareTo(LONGEST_WAIT) > 0) {
          throw e;
        }
        sleep(wait);
      }
    }
  }

  /** Jib would try TLS first, of which a server without it may wait for more. */
  private static URL withoutTls(URL url) throws IOException {
    return URI.create(url.toString().replaceFirst("^https:", "http:")).toURL();
  }

  private static boolean isBusy(int status) {
    return status == TOO_MANY_REQUESTS
        || status == BAD_GATEWAY
        || status == UNAVAILABLE
        || status == GATEWAY_TIMEOUT;
  }

  /** Seconds; a date, which hardly any registry sends, counts as none. */
  private static Duration wait(@Nullable String retryAfter, int attempt) {
    return retryAfter != null && retryAfter.matches("\\d{1,6}")
        ? Duration.ofSeconds(Long.parseLong(retryAfter))
        : Duration.ofMillis(250L << attempt);
  }

  @Override
  public void shutDown() throws IOException {
    try {
      super.shutDown();
    } finally {
      withTls.shutDown();
    }
  }

  private void sleep(Duration wait) throws InterruptedIOException {
    try {
      sleeper.sleep(wait);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while the registry was busy");
    }
  }
}
