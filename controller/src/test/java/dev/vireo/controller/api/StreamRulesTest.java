package dev.vireo.controller.api;

import static dev.vireo.controller.api.FieldRulesTest.said;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.ByteString;
import java.util.List;
import org.junit.jupiter.api.Test;

final class StreamRulesTest {
  private static final String START_MISSING = "start is not set.";

  @Test
  void aStartComesFirstAndOnce() throws Exception {
    assertEquals(List.of(), said(violations -> StreamRules.once(true, violations)));
    assertEquals(
        List.of("start comes once."), said(violations -> StreamRules.once(false, violations)));
    assertEquals(List.of(), said(violations -> StreamRules.afterStart("end", false, violations)));
    assertEquals(
        List.of(START_MISSING, "end comes after start."),
        said(violations -> StreamRules.afterStart("end", true, violations)));
  }

  @Test
  void aMessageIsOne() throws Exception {
    assertEquals(
        List.of(START_MISSING),
        said(violations -> StreamRules.notSet(true, "request", violations)));
    assertEquals(
        List.of("request is not set."),
        said(violations -> StreamRules.notSet(false, "request", violations)));
  }

  @Test
  void dataHasItsLimit() throws Exception {
    ByteString most = ByteString.copyFrom(new byte[64 << 10]);
    ByteString tooMuch = most.concat(ByteString.copyFromUtf8("a"));
    assertEquals(List.of(), said(violations -> StreamRules.data("a", most, false, violations)));
    assertEquals(
        List.of("a has 65537 bytes; at most 65536."),
        said(violations -> StreamRules.data("a", tooMuch, false, violations)));
    assertEquals(
        List.of(START_MISSING, "a comes after start."),
        said(violations -> StreamRules.data("a", most, true, violations)));
  }
}
