package bus

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
)

// HomeDir returns the home of this user: what the environment says, else, as for a program that init or a container
// starts, what the system has written of the user. The error tells that there is neither.
func HomeDir() (string, error) {
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return home, nil
	}
	if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
		return u.HomeDir, nil
	}
	return "", errors.New("this user has no home: neither the environment nor the system names one")
}
