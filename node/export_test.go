package node

// GPUProcessesOf is GPUProcesses with another program than nvidia-smi.
var GPUProcessesOf = gpuProcesses
