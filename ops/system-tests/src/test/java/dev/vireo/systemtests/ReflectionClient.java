package dev.vireo.systemtests;

import com.google.protobuf.ByteString;
import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.DescriptorValidationException;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.Descriptors.ServiceDescriptor;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.MethodDescriptor;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.reflection.v1.ServerReflectionGrpc;
import io.grpc.reflection.v1.ServerReflectionRequest;
import io.grpc.reflection.v1.ServerReflectionResponse;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * A client that has none of Vireo's generated code: it learns services and messages from the server
 * (grpc.reflection.v1) and speaks JSON, as grpcurl does.
 */
final class ReflectionClient {
  private static final long DEADLINE_SECONDS = 30;

  private final Channel channel;

  ReflectionClient(Channel channel) {
    this.channel = channel;
  }

  /** The names of the services that the server offers. */
  List<String> services() {
    return ask(ServerReflectionRequest.newBuilder().setListServices("").build())
        .getListServicesResponse()
        .getServiceList()
        .stream()
        .map(service -> service.getName())
        .toList();
  }

  /**
   * Calls a unary method, {@code vireo.v1.MicroVmService/CreateMicroVm}, with a request in JSON.
   */
  DynamicMessage call(String serviceAndMethod, String json) throws Exception {
    String service = serviceAndMethod.substring(0, serviceAndMethod.indexOf('/'));
    var method =
        service(service)
            .findMethodByName(serviceAndMethod.substring(serviceAndMethod.indexOf('/') + 1));
    return ClientCalls.blockingUnaryCall(
        channel,
        MethodDescriptor.<DynamicMessage, DynamicMessage>newBuilder()
            .setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName(serviceAndMethod)
            .setRequestMarshaller(
                ProtoUtils.marshaller(DynamicMessage.getDefaultInstance(method.getInputType())))
            .setResponseMarshaller(
                ProtoUtils.marshaller(DynamicMessage.getDefaultInstance(method.getOutputType())))
            .build(),
        CallOptions.DEFAULT.withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS),
        parse(method.getInputType(), json));
  }

  private static DynamicMessage parse(Descriptor type, String json)
      throws InvalidProtocolBufferException {
    DynamicMessage.Builder message = DynamicMessage.newBuilder(type);
    JsonFormat.parser().merge(json, message);
    return message.build();
  }

  private ServiceDescriptor service(String name)
      throws InvalidProtocolBufferException, DescriptorValidationException {
    Map<String, FileDescriptorProto> files = new HashMap<>();
    fetch(ServerReflectionRequest.newBuilder().setFileContainingSymbol(name).build(), files);
    Map<String, FileDescriptor> linked = new HashMap<>();
    for (FileDescriptorProto file : files.values()) {
      for (ServiceDescriptor service : link(file, files, linked).getServices()) {
        if (service.getFullName().equals(name)) {
          return service;
        }
      }
    }
    throw new IllegalStateException("the server described no service " + name);
  }

  /** Servers may send a file's dependencies along, or leave them to be asked for. */
  private void fetch(ServerReflectionRequest request, Map<String, FileDescriptorProto> files)
      throws InvalidProtocolBufferException {
    for (ByteString bytes : ask(request).getFileDescriptorResponse().getFileDescriptorProtoList()) {
      FileDescriptorProto file = FileDescriptorProto.parseFrom(bytes);
      files.put(file.getName(), file);
    }
    for (FileDescriptorProto file : List.copyOf(files.values())) {
      for (String dependency : file.getDependencyList()) {
        if (!files.containsKey(dependency)) {
          fetch(ServerReflectionRequest.newBuilder().setFileByFilename(dependency).build(), files);
        }
      }
    }
  }

  private static FileDescriptor link(
      FileDescriptorProto file,
      Map<String, FileDescriptorProto> files,
      Map<String, FileDescriptor> linked)
      throws DescriptorValidationException {
    FileDescriptor known = linked.get(file.getName());
    if (known != null) {
      return known;
    }
    FileDescriptor[] dependencies = new FileDescriptor[file.getDependencyCount()];
    for (int i = 0; i < dependencies.length; i++) {
      FileDescriptorProto dependency = files.get(file.getDependency(i));
      if (dependency == null) {
        throw new IllegalStateException("the server did not describe " + file.getDependency(i));
      }
      dependencies[i] = link(dependency, files, linked);
    }
    FileDescriptor descriptor = FileDescriptor.buildFrom(file, dependencies);
    linked.put(file.getName(), descriptor);
    return descriptor;
  }

  private ServerReflectionResponse ask(ServerReflectionRequest request) {
    CompletableFuture<ServerReflectionResponse> answer = new CompletableFuture<>();
    StreamObserver<ServerReflectionRequest> requests =
        ServerReflectionGrpc.newStub(channel)
            .withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS)
            .serverReflectionInfo(
                new StreamObserver<>() {
                  @Override
                  public void onNext(ServerReflectionResponse response) {
                    answer.complete(response);
                  }

                  @Override
                  public void onError(Throwable failure) {
                    answer.completeExceptionally(failure);
                  }

                  @Override
                  public void onCompleted() {
                    answer.completeExceptionally(new IllegalStateException("no answer"));
                  }
                });
    requests.onNext(request);
    requests.onCompleted();
    return answer.join();
  }
}
