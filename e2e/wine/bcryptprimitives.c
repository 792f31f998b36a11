// What Wine 8 lacks of Windows and Go wants, as the bcryptprimitives.dll that every Go program loads when it starts.
// .ci/run builds it where Wine has no such library, and without one of C.

#include <windows.h>
#include <winternl.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG); // RtlGenRandom

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T size) {
	return SystemFunction036(to, (ULONG)size);
}

typedef NTSTATUS(NTAPI *set_information)(HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, ULONG);

static set_information set;

// Go deletes what is in a folder by FileDispositionInformationEx, and as it was done before where the system does not
// know that. Windows before 10 says so with STATUS_INVALID_INFO_CLASS, Wine 8 with STATUS_NOT_IMPLEMENTED.
static NTSTATUS NTAPI set_as_windows(HANDLE file, PIO_STATUS_BLOCK status, PVOID info, ULONG size, ULONG class) {
	NTSTATUS s = set(file, status, info, size, class);
	return s == (NTSTATUS)0xC0000002 ? (NTSTATUS)0xC0000003 : s;
}

BOOL WINAPI DllMainCRTStartup(HINSTANCE self, DWORD reason, LPVOID reserved) {
	enum { stub = 32 }; // bytes of one of ntdll's system calls, which run wherever they are
	BYTE jump[] = {0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xE0}; // mov rax, set_as_windows; jmp rax
	DWORD was;
	if (reason != DLL_PROCESS_ATTACH)
		return TRUE;
	BYTE *at = (BYTE *)GetProcAddress(GetModuleHandleA("ntdll.dll"), "NtSetInformationFile");
	BYTE *copy = VirtualAlloc(NULL, stub, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
	if (!at || !copy || !VirtualProtect(at, stub, PAGE_EXECUTE_READWRITE, &was))
		return FALSE;
	for (int i = 0; i < stub; i++)
		copy[i] = at[i];
	set = (set_information)(void *)copy;
	*(UINT64 *)(jump + 2) = (UINT64)(void *)set_as_windows;
	for (int i = 0; i < (int)sizeof jump; i++)
		at[i] = jump[i];
	return VirtualProtect(at, stub, was, &was);
}
