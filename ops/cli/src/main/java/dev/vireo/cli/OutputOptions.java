package dev.vireo.cli;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.MessageOrBuilder;
import com.google.protobuf.util.JsonFormat;
import dev.vireo.proto.v1.MicroVm;
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

  /** A microVM that was changed: all of it, its name, or a line that ends with {@code news}. */
  void printChanged(MicroVm vm, String news, Environment environment) {
    environment
        .out()
        .println(
            switch (format) {
              case JSON -> json(vm);
              case NAME -> vm.getMeta().getName();
              case TABLE, WIDE -> new MicroVmView(environment.clock()).line(vm) + ", " + news;
            });
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
