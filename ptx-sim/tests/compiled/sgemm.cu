// C = A B, row-major, M and N multiples of 128, K of 16: 128 x 128 tiles, 8 x 8 sums a thread.
extern "C" __global__ void __launch_bounds__(256) sgemm(const float* __restrict__ A, const float* __restrict__ B,
                                                        float* __restrict__ C, int M, int N, int K) {
    __shared__ float4 a_tile[16][32];
    __shared__ float4 b_tile[16][32];
    int t = threadIdx.x, tx = t % 16, ty = t / 16;
    float sum[8][8] = {};
    const float4 *A4 = (const float4*)A, *B4 = (const float4*)B;
    for (int k0 = 0; k0 < K; k0 += 16) {
#pragma unroll
        for (int u = 0; u < 2; u++) {
            int row = t / 4 + u * 64, quad = t % 4;
            float4 v = A4[((blockIdx.y * 128 + row) * K + k0) / 4 + quad];
            float* to = (float*)a_tile + quad * 4 * 128 + row;
            to[0] = v.x; to[128] = v.y; to[256] = v.z; to[384] = v.w;
            int b_row = t / 32 + u * 8, b_quad = t % 32;
            b_tile[b_row][b_quad] = B4[((k0 + b_row) * N + blockIdx.x * 128) / 4 + b_quad];
        }
        __syncthreads();
#pragma unroll 2
        for (int k = 0; k < 16; k++) {
            float4 a0 = a_tile[k][ty * 2], a1 = a_tile[k][ty * 2 + 1], b0 = b_tile[k][tx * 2], b1 = b_tile[k][tx * 2 + 1];
            float a[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
            float b[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        float4* to = (float4*)(C + (blockIdx.y * 128 + ty * 8 + i) * N + blockIdx.x * 128 + tx * 8);
        to[0] = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
        to[1] = make_float4(sum[i][4], sum[i][5], sum[i][6], sum[i][7]);
    }
}
