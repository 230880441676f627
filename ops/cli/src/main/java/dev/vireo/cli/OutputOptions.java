package dev.vireo.cli;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.MessageOrBuilder;
import com.google.protobuf.util.JsonFormat;
import picocli.CommandLine.Option;

/** How an answer is printed. */
public final class OutputOptions {
  /**
   * For people: TABLE, WIDE. For scripts: JSON (proto3's JSON form of the API's messages), NAME.
   */
  public enum Format {
    TABLE,
    WIDE,
    JSON,
    NAME;

    @Override
    public String toString() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FORMAT",
      defaultValue = "table",
      description = "${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
  private Format format = Format.TABLE;

  public Format format() {
    return format;
  }

  /** Several lines, for one document. */
  public static String json(MessageOrBuilder message) {
    return print(JsonFormat.printer(), message);
  }

  /** One line, for a stream of documents. */
  public static String jsonLine(MessageOrBuilder message) {
    return print(JsonFormat.printer().omittingInsignificantWhitespace(), message);
  }

  private static String print(JsonFormat.Printer printer, MessageOrBuilder message) {
    try {
      return printer.print(message);
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("only an Any of unknown type cannot be printed", e);
    }
  }
}
