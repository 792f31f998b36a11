package node

import (
	"context"
	"unsafe"

	"golang.org/x/sys/windows"
)

var getSystemPowerStatus = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetSystemPowerStatus")

func powerNow(context.Context) Power {
	// SYSTEM_POWER_STATUS of winbase.h.
	var s struct {
		acLine, batteryFlag, batteryPercent, systemFlag byte
		batteryLife, batteryFullLife                    uint32
	}
	if ok, _, _ := getSystemPowerStatus.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return PowerUnknown
	}
	switch s.acLine {
	case 0:
		return PowerBattery
	case 1:
		return PowerMains
	}
	return PowerUnknown
}
