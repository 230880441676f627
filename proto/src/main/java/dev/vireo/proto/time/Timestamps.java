package dev.vireo.proto.time;

import com.google.protobuf.Timestamp;
import java.time.Instant;

/** {@link Instant}s as {@code google.protobuf.Timestamp}s and back, to the nanosecond. */
public final class Timestamps {
  private Timestamps() {}

  /** The same point in time; before 1970 too, where {@code nanos} still count forward. */
  public static Timestamp of(Instant instant) {
    return Timestamp.newBuilder()
        .setSeconds(instant.getEpochSecond())
        .setNanos(instant.getNano())
        .build();
  }

  /**
   * The same point in time. {@code nanos} beyond their range are carried over, since another
   * process may have sent anything.
   *
   * @throws java.time.DateTimeException if {@link Instant} does not reach so far
   */
  public static Instant toInstant(Timestamp timestamp) {
    return Instant.ofEpochSecond(timestamp.getSeconds(), timestamp.getNanos());
  }
}
