package dev.vireo.sim.controller;

import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.Status;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The serving end of one call of the API that has one answer. */
final class ApiCall<Q, R> extends ServerCall<Q, R> {
  private final MethodDescriptor<Q, R> method;
  private final Consumer<Answer<R>> onAnswer;
  private Metadata headers = new Metadata();
  private @Nullable R message;
  private boolean cancelled;

  /**
   * How a call has ended.
   *
   * @param message the answer, if it is none of an error
   */
  public record Answer<R>(
      Metadata headers, @Nullable R message, Status status, Metadata trailers) {}

  ApiCall(MethodDescriptor<Q, R> method, Consumer<Answer<R>> onAnswer) {
    this.method = method;
    this.onAnswer = onAnswer;
  }

  void cancel() {
    cancelled = true;
  }

  @Override
  public void request(int messages) {
    // The one there is comes by itself.
  }

  @Override
  public void sendHeaders(Metadata sent) {
    headers = sent;
  }

  @Override
  public void sendMessage(R sent) {
    message = sent;
  }

  @Override
  public void close(Status status, Metadata trailers) {
    onAnswer.accept(new Answer<>(headers, message, status, trailers));
  }

  @Override
  public boolean isCancelled() {
    return cancelled;
  }

  @Override
  public MethodDescriptor<Q, R> getMethodDescriptor() {
    return method;
  }
}
