
    let in_size = pair(params.in_size);
    let out_size = pair(params.out_size);
    let kernel = pair(params.kernel);
    let stride = pair(params.stride);
    let dilation = pair(params.dilation);
    let pad = pair(params.pad);
