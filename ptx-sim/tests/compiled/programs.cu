// y = conv(x, w): 3 x 3, stride 1, padding 1, NCHW, through a tile in shared memory.
extern "C" __global__ void conv3x3(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y,
                                   int channels, int height, int width) {
    __shared__ float tile[10][10];
    int k = blockIdx.z, ox = blockIdx.x * 8 + threadIdx.x, oy = blockIdx.y * 8 + threadIdx.y;
    float sum = 0.f;
    for (int c = 0; c < channels; ++c) {
        for (int i = threadIdx.y * 8 + threadIdx.x; i < 100; i += 64) {
            int iy = blockIdx.y * 8 + i / 10 - 1, ix = blockIdx.x * 8 + i % 10 - 1;
            bool inside = iy >= 0 && iy < height && ix >= 0 && ix < width;
            tile[i / 10][i % 10] = inside ? x[(c * height + iy) * width + ix] : 0.f;
        }
        __syncthreads();
        for (int r = 0; r < 3; ++r)
            for (int q = 0; q < 3; ++q)
                sum = fmaf(tile[threadIdx.y + r][threadIdx.x + q], w[((k * channels + c) * 3 + r) * 3 + q], sum);
        __syncthreads();
    }
    if (ox < width && oy < height) y[(k * height + oy) * width + ox] = sum;
}

// sums[b] = sum of block b's part of x, by shuffles; total += all sums, by an atomic.
extern "C" __global__ void reduce(const float* __restrict__ x, float* sums, unsigned* count, int n) {
    __shared__ float part[8];
    float sum = 0.f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += x[i];
    for (int offset = 16; offset; offset >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, offset);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0.f;
        for (int offset = 4; offset; offset >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        if (threadIdx.x == 0) { sums[blockIdx.x] = sum; atomicAdd(count, 1u); }
    }
}

// bins[v] += 1 for each byte of x, with bins in shared memory first; the top bin's index to *top.
extern "C" __global__ void histogram(const unsigned char* __restrict__ x, unsigned* bins, int n) {
    __shared__ unsigned local[256];
    local[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * 256 + threadIdx.x; i < n; i += gridDim.x * 256) atomicAdd(&local[x[i]], 1u);
    __syncthreads();
    if (local[threadIdx.x]) atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
}

// Integer and branch code: steps of the Collatz sequence, and whether the lane's neighbour takes more.
extern "C" __global__ void collatz(unsigned* steps, unsigned* more, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned count = 0;
    unsigned long long v = i + 1;
    while (v != 1) { v = v & 1 ? 3 * v + 1 : v / 2; ++count; }
    unsigned next = __shfl_sync(0xffffffffu, count, (threadIdx.x + 1) % 32);
    unsigned ballot = __ballot_sync(0xffffffffu, next > count);
    if (i < n) { steps[i] = count; more[i] = __popc(ballot); }
}
