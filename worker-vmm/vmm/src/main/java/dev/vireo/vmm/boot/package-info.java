/**
 * From a kernel file to a vCPU's first instruction: the file formats, the Linux/x86 boot protocol
 * (Documentation/arch/x86/boot.rst) and PVH (xen/include/public/arch-x86/hvm/start_info.h), and
 * that of Linux on arm64 (Documentation/arch/arm64/booting.rst).
 */
@NullMarked
package dev.vireo.vmm.boot;

import org.jspecify.annotations.NullMarked;
