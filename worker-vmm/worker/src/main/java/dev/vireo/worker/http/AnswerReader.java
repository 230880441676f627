package dev.vireo.worker.http;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeEnd;
import dev.vireo.proto.v1.InvokeHead;
import dev.vireo.proto.v1.InvokeResponse;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.PrematureChannelClosureException;
import io.netty.handler.codec.http.HttpContent;
import io.netty.handler.codec.http.HttpDecoderConfig;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpMessage;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpResponseDecoder;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.util.ReferenceCountUtil;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads one HTTP/1.1 answer, of a server that may say anything, as far as it has come. Of one
 * thread at a time.
 */
public final class AnswerReader {
  /** Of its headers, and once more of its trailers. */
  static final int MAX_HEADER_BYTES = 64 << 10;

  static final int MAX_BODY_PART_BYTES = 64 << 10;

  /** Answers before the answer: 100 to 199. */
  static final int MOST_INTERIM = 16;

  private static final int MAX_LINE_BYTES = 8 << 10;
  private static final int SWITCHING_PROTOCOLS = 101;
  private static final int FIRST_FINAL = 200;
  private static final int FIRST = 100;
  private static final int LAST = 999;

  private final EmbeddedChannel codec;
  private int interim;
  private boolean inInterim;
  private boolean begun;
  private boolean over;

  /**
   * Begins before the first byte.
   *
   * @param headAlone it has no body, whatever it says of one: it answers HEAD
   */
  public AnswerReader(boolean headAlone) {
    codec = new EmbeddedChannel();
    codec.config().setAllocator(new UnpooledByteBufAllocator(false));
    codec.pipeline().addLast(decoder(headAlone));
  }

  private static HttpResponseDecoder decoder(boolean headAlone) {
    HttpDecoderConfig limits =
        new HttpDecoderConfig()
            // Lines may end as RFC 9112, 2.2 allows: those of CGI scripts do.
            .setStrictLineParsing(false)
            .setMaxInitialLineLength(MAX_LINE_BYTES)
            .setMaxHeaderSize(MAX_HEADER_BYTES)
            .setMaxChunkSize(MAX_BODY_PART_BYTES);
    return new HttpResponseDecoder(limits) {
      @Override
      protected boolean isContentAlwaysEmpty(HttpMessage message) {
        return headAlone || super.isContentAlwaysEmpty(message);
      }
    };
  }

  /** What these bytes of the server's bring. */
  public List<InvokeResponse> read(ByteString bytes) throws BadAnswerException {
    codec.writeInbound(Unpooled.wrappedBuffer(bytes.asReadOnlyByteBuffer()));
    return parts();
  }

  /** The server has ended the connection, which may be how it ends its answer. */
  public List<InvokeResponse> end() throws BadAnswerException {
    var _ = codec.finish();
    List<InvokeResponse> parts = parts();
    if (!over) {
      throw BadAnswerException.brokenOff(
          begun
              ? "ended the connection within its answer"
              : "ended the connection without an answer");
    }
    return parts;
  }

  /** Whether the answer is whole. */
  public boolean isOver() {
    return over;
  }

  /** Whether its head was there. */
  public boolean hasBegun() {
    return begun;
  }

  private List<InvokeResponse> parts() throws BadAnswerException {
    List<InvokeResponse> parts = new ArrayList<>();
    for (HttpObject next = codec.readInbound(); next != null; next = codec.readInbound()) {
      try {
        if (!over) {
          take(next, parts);
        }
      } finally {
        ReferenceCountUtil.release(next);
      }
    }
    return parts;
  }

  private void take(HttpObject object, List<InvokeResponse> parts) throws BadAnswerException {
    if (object.decoderResult().isFailure()) {
      Throwable why = object.decoderResult().cause();
      throw why instanceof PrematureChannelClosureException
          ? BadAnswerException.brokenOff("ended the connection within its answer's headers")
          : BadAnswerException.invalid("did not answer in HTTP/1.1: " + why.getMessage());
    }
    if (object instanceof HttpResponse head) {
      takeHead(head, parts);
    }
    if (object instanceof HttpContent content) {
      if (inInterim) {
        inInterim = !(content instanceof LastHttpContent);
      } else {
        takeContent(content, parts);
      }
    }
  }

  private void takeHead(HttpResponse head, List<InvokeResponse> parts) throws BadAnswerException {
    int status = head.status().code();
    if (status < FIRST || status > LAST || status == SWITCHING_PROTOCOLS) {
      throw BadAnswerException.invalid("answered with status %d".formatted(status));
    }
    if (status < FIRST_FINAL) {
      interim++;
      inInterim = true;
      if (interim > MOST_INTERIM) {
        throw BadAnswerException.invalid(
            "sent more than %d interim answers".formatted(MOST_INTERIM));
      }
      return;
    }
    begun = true;
    EndToEnd.keep(head.headers());
    parts.add(
        InvokeResponse.newBuilder()
            .setHead(
                InvokeHead.newBuilder().setStatus(status).addAllHeaders(listed(head.headers())))
            .build());
  }

  private void takeContent(HttpContent content, List<InvokeResponse> parts) {
    if (content.content().isReadable()) {
      ByteString bytes = ByteString.copyFrom(content.content().nioBuffer());
      parts.add(InvokeResponse.newBuilder().setBody(bytes).build());
    }
    if (content instanceof LastHttpContent last) {
      over = true;
      EndToEnd.keep(last.trailingHeaders());
      parts.add(
          InvokeResponse.newBuilder()
              .setEnd(InvokeEnd.newBuilder().addAllTrailers(listed(last.trailingHeaders())))
              .build());
    }
  }

  private static List<HttpHeader> listed(HttpHeaders headers) {
    return headers.entries().stream()
        .map(header ->
            HttpHeader.newBuilder().setName(header.getKey()).setValue(header.getValue()).build())
        .toList();
  }
}
