// Package unprivileged has tests see what a user without rights would, where they run as root.
package unprivileged
