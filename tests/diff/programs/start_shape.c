/* Linked in many ways; never run beyond its first instruction. BSS and DATA set the sizes. */
#ifndef BSS
#define BSS 5000
#endif
#ifndef DATA
#define DATA 5000
#endif
char bss[BSS];
char data[DATA] = {1};
#ifdef BARE
void _start(void) {
  for (;;) bss[0] = data[0];
}
#else
int main(void) { return bss[0] + data[0]; }
#endif
