package dev.vireo.linux;

final class JffiLibcTest extends LibcConformanceTest {
  JffiLibcTest() {
    super(new JffiLibc());
  }
}
