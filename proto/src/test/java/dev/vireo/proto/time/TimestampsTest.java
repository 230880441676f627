package dev.vireo.proto.time;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.Timestamp;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Instants come through messages as they were. */
class TimestampsTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "1970-01-01T00:00:00Z",
        "2026-11-28T06:13:32.000000007Z",
        "1969-12-31T23:59:59.999999999Z",
        "9999-12-31T23:59:59.999999999Z"
      })
  void comeBackToTheNanosecond(String time) {
    Instant instant = Instant.parse(time);

    assertEquals(instant, Timestamps.toInstant(Timestamps.of(instant)));
  }

  @Test
  void countNanosForwardBefore1970Too() {
    assertEquals(
        Timestamp.newBuilder().setSeconds(-1).setNanos(999_999_999).build(),
        Timestamps.of(Instant.parse("1969-12-31T23:59:59.999999999Z")));
  }

  @Test
  void carryNanosBeyondTheirRange() {
    assertEquals(
        Instant.ofEpochSecond(11, 5),
        Timestamps.toInstant(
            Timestamp.newBuilder().setSeconds(10).setNanos(1_000_000_005).build()));
  }
}
