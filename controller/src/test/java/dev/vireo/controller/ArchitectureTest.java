package dev.vireo.controller;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;

import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** Which package knows which: arrows point down only. */
@AnalyzeClasses(packages = "dev.vireo.controller", importOptions = DoNotIncludeTests.class)
final class ArchitectureTest {
  @ArchTest
  static final ArchRule ARROWS =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .layer("server")
          .definedBy("..controller.server..")
          .layer("api")
          .definedBy("..controller.api..")
          .layer("reconcile")
          .definedBy("..controller.reconcile..")
          .layer("session")
          .definedBy("..controller.session..")
          .layer("grpc")
          .definedBy("..controller.grpc..")
          .layer("placement")
          .definedBy("..controller.placement..")
          .layer("quota")
          .definedBy("..controller.quota..")
          .layer("event")
          .definedBy("..controller.event..")
          .layer("microvm")
          .definedBy("..controller.microvm..")
          .layer("node")
          .definedBy("..controller.node..")
          .layer("tracing")
          .definedBy("..controller.tracing..")
          .layer("leader")
          .definedBy("..controller.leader..")
          .layer("lifecycle")
          .definedBy("..controller.lifecycle..")
          .layer("store")
          .definedBy("..controller.store..")
          .whereLayer("server")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("api")
          .mayOnlyBeAccessedByLayers("server")
          .whereLayer("reconcile")
          .mayOnlyBeAccessedByLayers("server", "api")
          .whereLayer("session")
          .mayOnlyBeAccessedByLayers("server", "api", "reconcile")
          .whereLayer("placement")
          .mayOnlyBeAccessedByLayers("server", "api", "reconcile")
          .whereLayer("quota")
          .mayOnlyBeAccessedByLayers("server", "api")
          .whereLayer("event")
          .mayOnlyBeAccessedByLayers("server", "api")
          .whereLayer("tracing")
          .mayOnlyBeAccessedByLayers("server", "api", "reconcile", "session")
          .whereLayer("leader")
          .mayOnlyBeAccessedByLayers("server", "reconcile", "session")
          .whereLayer("lifecycle")
          .mayNotAccessAnyLayer()
          .whereLayer("store")
          .mayNotAccessAnyLayer();

  @ArchTest
  static final ArchRule A_LIFE_IS_COMPUTED_AND_NOTHING_ELSE =
      noClasses()
          .that()
          .resideInAPackage("..lifecycle..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("java.io..", "java.nio..", "io.grpc..")
          .orShould()
          .callMethod(java.time.Instant.class, "now")
          .orShould()
          .callMethod(System.class, "nanoTime");

  @ArchTest
  static final ArchRule QUARKUS_STAYS_AT_THE_EDGE =
      noClasses()
          .that()
          .resideOutsideOfPackage("..server..")
          .and()
          .haveSimpleNameNotEndingWith("GrpcService")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("io.quarkus..", "jakarta..");
}
