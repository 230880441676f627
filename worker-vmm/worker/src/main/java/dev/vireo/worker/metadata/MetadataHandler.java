package dev.vireo.worker.metadata;

import static io.netty.handler.codec.http.HttpHeaderNames.ALLOW;
import static io.netty.handler.codec.http.HttpHeaderNames.CACHE_CONTROL;
import static io.netty.handler.codec.http.HttpHeaderNames.CONNECTION;
import static io.netty.handler.codec.http.HttpHeaderNames.CONTENT_LENGTH;
import static io.netty.handler.codec.http.HttpHeaderNames.CONTENT_TYPE;
import static io.netty.handler.codec.http.HttpHeaderValues.CLOSE;
import static io.netty.handler.codec.http.HttpHeaderValues.NO_STORE;
import static io.netty.handler.codec.http.HttpResponseStatus.BAD_REQUEST;
import static io.netty.handler.codec.http.HttpResponseStatus.FORBIDDEN;
import static io.netty.handler.codec.http.HttpResponseStatus.METHOD_NOT_ALLOWED;
import static io.netty.handler.codec.http.HttpResponseStatus.NOT_FOUND;
import static io.netty.handler.codec.http.HttpResponseStatus.OK;
import static io.netty.handler.codec.http.HttpResponseStatus.REQUEST_HEADER_FIELDS_TOO_LARGE;
import static io.netty.handler.codec.http.HttpResponseStatus.REQUEST_URI_TOO_LONG;
import static io.netty.handler.codec.http.HttpResponseStatus.UNAUTHORIZED;

import dev.vireo.worker.metadata.MetadataPages.Page;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.TooLongHttpHeaderException;
import io.netty.handler.codec.http.TooLongHttpLineException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.OptionalInt;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Answers one request of a guest as soon as its headers are there, and ends the connection: pages
 * to whoever shows a session token, tokens to whoever can send a PUT with a header of our own,
 * which a server of the guest that is tricked into fetching a URL cannot.
 */
final class MetadataHandler extends SimpleChannelInboundHandler<HttpObject> {
  private static final System.Logger LOG = System.getLogger("metadata");

  private static final String TOKEN_PATH = "/latest/api/token";
  private static final String TOKEN = "X-vireo-metadata-token";
  private static final String TTL = "X-vireo-metadata-token-ttl-seconds";

  /** As programs have them that know Amazon's service. */
  private static final String AMAZON_TOKEN = "X-aws-ec2-metadata-token";

  private static final String AMAZON_TTL = "X-aws-ec2-metadata-token-ttl-seconds";

  /** Proxies set it, which are nobody's to ask for a guest. */
  private static final String FORWARDED = "X-Forwarded-For";

  private static final int LONGEST_TTL_SECONDS = 21_600;

  private final MetadataPages pages;
  private final SessionTokens tokens;
  private final Consumer<String> events;
  private boolean isAnswered;

  /**
   * @param events is told of each request, and of each that is refused
   */
  MetadataHandler(MetadataPages pages, SessionTokens tokens, Consumer<String> events) {
    this.pages = pages;
    this.tokens = tokens;
    this.events = events;
  }

  @Override
  protected void channelRead0(ChannelHandlerContext context, HttpObject message) {
    if (isAnswered || !(message instanceof HttpRequest request)) {
      return; // A body, or what came with the first request.
    }
    isAnswered = true;
    var _ = context.channel().config().setAutoRead(false);
    FullHttpResponse response = answer(request);
    events.accept("requests");
    if (response.status().code() >= BAD_REQUEST.code()) {
      events.accept("requests_refused");
    }
    response
        .headers()
        .set(CONTENT_LENGTH, response.content().readableBytes())
        .set(CONNECTION, CLOSE)
        .set(CACHE_CONTROL, NO_STORE);
    var _ = context.writeAndFlush(response).addListener(ChannelFutureListener.CLOSE);
  }

  private FullHttpResponse answer(HttpRequest request) {
    if (request.decoderResult().isFailure()) {
      return malformed(request.decoderResult().cause());
    }
    if (request.headers().contains(FORWARDED)) {
      return refusal(FORBIDDEN, FORWARDED + ": the metadata service answers no proxies");
    }
    String path = path(request.uri());
    if (path.equals(TOKEN_PATH)) {
      return request.method().equals(HttpMethod.PUT) ? token(request) : wrongMethod(HttpMethod.PUT);
    }
    if (!request.method().equals(HttpMethod.GET)) {
      return wrongMethod(HttpMethod.GET);
    }
    String token = header(request, TOKEN, AMAZON_TOKEN);
    if (token == null || !tokens.isValid(token)) {
      return refusal(
          UNAUTHORIZED,
          "%s: none that is valid; PUT %s with %s gives one".formatted(TOKEN, TOKEN_PATH, TTL));
    }
    return pages
        .find(path)
        .map(MetadataHandler::page)
        .orElseGet(() -> refusal(NOT_FOUND, "nothing is here; GET / lists what is"));
  }

  private static FullHttpResponse malformed(Throwable why) {
    return switch (why) {
      case TooLongHttpLineException _ -> refusal(REQUEST_URI_TOO_LONG, "a line that is too long");
      case TooLongHttpHeaderException _ ->
          refusal(REQUEST_HEADER_FIELDS_TOO_LARGE, "headers that are too long");
      default -> refusal(BAD_REQUEST, "this is no HTTP request");
    };
  }

  private static String path(String uri) {
    int query = uri.indexOf('?');
    return query < 0 ? uri : uri.substring(0, query);
  }

  private FullHttpResponse token(HttpRequest request) {
    OptionalInt ttl = seconds(header(request, TTL, AMAZON_TTL));
    if (ttl.isEmpty()) {
      return refusal(BAD_REQUEST, "%s: 1 to %d".formatted(TTL, LONGEST_TTL_SECONDS));
    }
    FullHttpResponse response =
        response(OK, Page.text(tokens.issue(Duration.ofSeconds(ttl.getAsInt()))));
    response.headers().set(request.headers().contains(TTL) ? TTL : AMAZON_TTL, ttl.getAsInt());
    return response;
  }

  private static OptionalInt seconds(@Nullable String text) {
    try {
      int seconds = text == null ? 0 : Integer.parseInt(text);
      return seconds >= 1 && seconds <= LONGEST_TTL_SECONDS
          ? OptionalInt.of(seconds)
          : OptionalInt.empty();
    } catch (NumberFormatException e) {
      return OptionalInt.empty();
    }
  }

  private static @Nullable String header(HttpRequest request, String ours, String theirs) {
    String value = request.headers().get(ours);
    return value != null ? value : request.headers().get(theirs);
  }

  private static FullHttpResponse page(Page page) {
    return response(OK, page);
  }

  private static FullHttpResponse wrongMethod(HttpMethod right) {
    FullHttpResponse response = refusal(METHOD_NOT_ALLOWED, "only " + right);
    response.headers().set(ALLOW, right);
    return response;
  }

  private static FullHttpResponse refusal(HttpResponseStatus status, String why) {
    return response(status, Page.text(why + "\n"));
  }

  private static FullHttpResponse response(HttpResponseStatus status, Page page) {
    FullHttpResponse response =
        new DefaultFullHttpResponse(
            HttpVersion.HTTP_1_1,
            status,
            Unpooled.wrappedBuffer(page.body().asReadOnlyByteBuffer()));
    response.headers().set(CONTENT_TYPE, page.contentType());
    return response;
  }

  /** A guest that goes away in the middle of something, most often. */
  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable why) {
    LOG.log(Level.DEBUG, "a metadata connection failed: {0}", why.toString());
    var _ = context.close();
  }
}
