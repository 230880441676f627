package dev.vireo.cli;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.function.Consumer;

/**
 * Where a guest's words go: what it wrote to its standard error to ours, the rest to our standard
 * output; unchanged into files and pipes, made harmless onto a terminal.
 */
final class LogSink implements Consumer<StreamLogsResponse> {
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

  private final Environment environment;
  private final Consumer<ByteString> out;
  private final Consumer<ByteString> err;
  private final boolean timestamps;
  private boolean outInLine;
  private boolean errInLine;

  /**
   * @param raw also onto a terminal unchanged
   * @param timestamps before each line, of output that has them
   */
  LogSink(Environment environment, boolean raw, boolean timestamps) {
    this.environment = environment;
    this.out = LocalStreams.out(environment, raw);
    this.err = LocalStreams.err(environment, raw);
    this.timestamps = timestamps;
  }

  /**
   * Passes it on.
   *
   * @throws CommandException {@link ExitCode#BROKEN_PIPE} once nobody reads our output any more
   */
  @Override
  public void accept(StreamLogsResponse chunk) {
    boolean error = chunk.getStream() == Stream.STDERR;
    ByteString bytes = chunk.getData();
    if (timestamps && chunk.hasTime()) {
      bytes = stamped(bytes, chunk.getTime(), error ? errInLine : outInLine);
      boolean inLine = !chunk.getData().endsWith(ByteString.copyFromUtf8("\n"));
      if (error) {
        errInLine = inLine;
      } else {
        outInLine = inLine;
      }
    }
    (error ? err : out).accept(bytes);
    if (environment.out().checkError()) {
      throw new CommandException(ExitCode.BROKEN_PIPE, "nobody reads the output any more", "");
    }
  }

  /** A line has the time of its first piece. */
  private static ByteString stamped(ByteString bytes, Timestamp time, boolean inLine) {
    String when = TIME.format(Timestamps.toInstant(time)) + " ";
    byte[] stamp = when.getBytes(StandardCharsets.UTF_8);
    ByteString.Output stamped = ByteString.newOutput();
    boolean begins = !inLine;
    for (int i = 0; i < bytes.size(); i++) {
      if (begins) {
        stamped.write(stamp, 0, stamp.length);
      }
      stamped.write(bytes.byteAt(i));
      begins = bytes.byteAt(i) == '\n';
    }
    return stamped.toByteString();
  }
}
