/* What the parts of the runner share: the module's memory, and its end. */
#ifndef RUNNER_H
#define RUNNER_H

#include "module.h"

/* Ends the process: the module broke a rule of the ABI. */
_Noreturn void runner_trap(void);

/* Returns the place of size bytes of the module's memory. It traps if they are not inside. */
uint8_t *runner_at(u32 pointer, u32 size);

/* Write a number, little-endian as in WebAssembly, to the module's memory. */
void runner_set_u32(u32 pointer, u32 n);
void runner_set_u64(u32 pointer, u64 n);

#endif
