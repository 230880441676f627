package dev.vireo.linux;

final class JnrLibcTest extends LibcConformanceTest {
  JnrLibcTest() {
    super(JnrLibc.load());
  }
}
