package bus

// FindDataDirBut is FindDataDir on a machine whose service keeps its data in system.
func FindDataDirBut(system string) string { return findDataDir(system) }
