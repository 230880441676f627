package dev.vireo.worker.http;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeStart;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http.DefaultHttpContent;
import io.netty.handler.codec.http.DefaultHttpRequest;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpRequestEncoder;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Writes one HTTP/1.1 request, for a connection of its own. One that does not tell the length of
 * its body is begun when the first of that, or its end, is there: then there is either none, or it
 * goes in chunks. Of one thread at a time.
 */
public final class RequestWriter {
  private static final Set<HttpMethod> USUALLY_WITH_BODY =
      Set.of(HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH);

  private final EmbeddedChannel codec = new EmbeddedChannel(new HttpRequestEncoder());
  private final HttpRequest request;
  private boolean begun;

  /**
   * Takes what is to be asked.
   *
   * @throws IllegalArgumentException for a method, path or header that HTTP does not allow
   */
  public RequestWriter(InvokeStart start) {
    codec.config().setAllocator(new UnpooledByteBufAllocator(false));
    request =
        new DefaultHttpRequest(
            HttpVersion.HTTP_1_1,
            HttpMethod.valueOf(start.getMethod().isEmpty() ? "GET" : start.getMethod()),
            start.getPath().isEmpty() ? "/" : start.getPath());
    for (HttpHeader header : start.getHeadersList()) {
      request.headers().add(header.getName(), header.getValue());
    }
    EndToEnd.keep(request.headers());
    if (!request.headers().contains(HttpHeaderNames.HOST)) {
      request.headers().set(HttpHeaderNames.HOST, "localhost");
    }
    request.headers().set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE);
  }

  /** Whether the answer will have no body, whatever it says of one. */
  public boolean asksForHeadAlone() {
    return request.method().equals(HttpMethod.HEAD);
  }

  /** How long the body is, if the request tells. */
  public OptionalLong contentLength() {
    String length = request.headers().get(HttpHeaderNames.CONTENT_LENGTH);
    return length == null ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(length));
  }

  /** What is to be sent at once; nothing if it is not known yet how. */
  public ByteString begin() {
    return contentLength().isPresent() ? write(List.of(head())) : ByteString.EMPTY;
  }

  /** Some of the body. */
  public ByteString body(ByteString bytes) {
    if (bytes.isEmpty()) {
      return ByteString.EMPTY;
    }
    List<HttpObject> objects = new ArrayList<>();
    if (!begun) {
      request.headers().set(HttpHeaderNames.TRANSFER_ENCODING, HttpHeaderValues.CHUNKED);
      objects.add(head());
    }
    objects.add(new DefaultHttpContent(Unpooled.wrappedBuffer(bytes.asReadOnlyByteBuffer())));
    return write(objects);
  }

  /** The end of the request. */
  public ByteString end() {
    List<HttpObject> objects = new ArrayList<>();
    if (!begun) {
      if (USUALLY_WITH_BODY.contains(request.method())) {
        request.headers().set(HttpHeaderNames.CONTENT_LENGTH, HttpHeaderValues.ZERO);
      }
      objects.add(head());
    }
    objects.add(LastHttpContent.EMPTY_LAST_CONTENT);
    return write(objects);
  }

  private HttpRequest head() {
    begun = true;
    return request;
  }

  private ByteString write(List<HttpObject> objects) {
    codec.writeOutbound(objects.toArray());
    ByteString bytes = ByteString.EMPTY;
    for (ByteBuf next = codec.readOutbound(); next != null; next = codec.readOutbound()) {
      bytes = bytes.concat(ByteString.copyFrom(next.nioBuffer()));
      next.release();
    }
    return bytes;
  }
}
